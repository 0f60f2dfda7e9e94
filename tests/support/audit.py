"""`make audit`: are the packages those that are pinned, free to use, and without known holes?

Known holes are asked of pip-audit, which needs its data from the network; where it cannot reach it,
the rest is still checked, and the last line says which.
"""

import re
import subprocess
import sys
from importlib.metadata import PackageNotFoundError, distribution
from pathlib import Path

from packaging.requirements import Requirement

PINS = Path("requirements/base.txt")
# Copyleft that would reach our own code. Libraries under LGPL, or GPL with a linking exception, and
# programs that are only run, do not.
COPYLEFT = re.compile(r"\bA?GPL|General Public", re.IGNORECASE)
HARMLESS = {
    "grandalf": "EPL or GPL; DVC draws its graphs with it",
    "pygit2": "GPL with a linking exception",
    "text-unidecode": "Artistic or GPL",
}


def requirements() -> dict[str, list[str]]:
    """Each pin that applies to this Python and system, and its hashes."""
    joined = PINS.read_text().replace("\\\n", " ")
    found = {}
    for line in joined.splitlines():
        pin, *hashes = line.split(" --hash=")
        if pin.strip():
            wanted = Requirement(pin.strip())
            if wanted.marker is None or wanted.marker.evaluate():
                found[str(wanted).split(";")[0].strip()] = hashes
    return found


def licence(name: str) -> str:
    """What a package says of its licence."""
    metadata = distribution(name).metadata
    classifiers = [
        each.rpartition("::")[2].strip()
        for each in metadata.get_all("Classifier", [])
        if each.startswith("License ::")
    ]
    (expression,) = metadata.get_all("License-Expression", [""])
    (text,) = metadata.get_all("License", ["not stated"])
    return expression or ", ".join(classifiers) or text.splitlines()[0][:60]


def faults() -> list[str]:
    """What is wrong with the pins, the packages installed or their licences."""
    found = []
    for pin, hashes in requirements().items():
        name, _, version = pin.partition("==")
        if not version or not hashes:
            found.append(f"{pin}: not pinned to one version with its hashes")
            continue
        try:
            installed = distribution(name).version
        except PackageNotFoundError:
            found.append(f"{pin}: not installed; run `make setup`")
            continue
        if installed != version:
            found.append(f"{pin}: {installed} is installed; run `make setup`")
        stated = licence(name)
        free = "LGPL" in stated or "Lesser" in stated or " OR " in stated or name in HARMLESS
        if COPYLEFT.search(stated) and not free:
            found.append(f"{pin}: licence: {stated}")
    return found


def main() -> int:
    """Print what is wrong; 1 if anything is."""
    found = faults()
    for fault in found:
        print(f"error: {fault}", file=sys.stderr)
    print(f"{len(requirements())} packages: pins, hashes, versions and licences looked at")
    command = [sys.executable, "-m", "pip_audit", "-r", str(PINS), "--no-deps", "--disable-pip"]
    audited = subprocess.run(
        [*command, "--progress-spinner", "off", "--timeout", "15"], capture_output=True, text=True
    )
    if "No known vulnerabilities found" in audited.stderr:
        print("pip-audit: no known vulnerabilities")
    elif "Found" in audited.stderr and "vulnerabilit" in audited.stderr:
        print(audited.stdout, file=sys.stderr)
        found.append("vulnerabilities")
    else:
        print("pip-audit could not reach its data: known vulnerabilities were NOT looked at")
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
