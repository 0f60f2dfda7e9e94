"""A script's run on Kaggle: started once, followed, also by a later call, and its files fetched."""

import http.client
import json
import time
import urllib.error
import urllib.request
from pathlib import Path
from typing import Any

from pipeline.base.console import console, duration, say, warn
from pipeline.base.digests import sha256_file
from pipeline.base.errors import UserError
from pipeline.base.files import read_json, write_json
from pipeline.base.paths import CACHE
from pipeline.base.settings import Settings
from pipeline.kaggle.service import SITE, ServiceError, call
from pipeline.kernels.kernel import ABOUT, FOLDS

STATE = CACHE / "kernel.json"  # which run was started last
POLL = 30.0  # seconds between two looks at the run
SMALL, LARGE = 1 << 20, 4 << 30  # bytes of folds.json and of folds.zip, at most
BUSY = ("QUEUED", "RUNNING", "NEW_SCRIPT")


def show_quota(settings: Settings) -> None:
    """Say how much of this week's GPU time is left.

    Raises:
        UserError: none is.
    """
    quota = call(settings, "quota")
    left = quota["allowed"] - quota["used"]
    if quota["allowed"] and left <= 0:
        raise UserError("Kaggle's GPU time of this week is used up; see kaggle.com, Settings")
    if quota["allowed"]:
        say(f"Kaggle's GPUs: {duration(left)} of {duration(quota['allowed'])} are left this week")


def start(settings: Settings, script: str, digest: str, accelerator: str, seconds: int) -> str:
    """Send the script, unless its run was started before; the run's name, `user/script`."""
    state = read_json(STATE) if STATE.exists() else {}
    if state.get("digest") == digest:
        say(f"following the run that was started before: {SITE}/code/{state['ref']}")
        return str(state["ref"])
    show_quota(settings)
    who = call(settings, "whoami")["username"]
    ref = f"{who}/pipeline-folds-{settings.competition.slug}"
    folder = write_script(settings, script, ref)
    try:
        answer = call(settings, "push", str(folder), accelerator, str(seconds), repeat=False)
    except ServiceError as error:
        if error.unclear:
            raise UserError(
                f"{error}; it is unclear whether the run began: look at {SITE}/code/{ref} before "
                "`make kaggle-train` starts another"
            ) from None
        raise
    if answer["error"] or answer["wrong"]:
        wrong = f"it does not know the competition {answer['wrong'][0]}" if answer["wrong"] else ""
        raise UserError(f"Kaggle refuses the script: {answer['error'] or wrong}")
    write_json(STATE, {"ref": ref, "digest": digest})
    say(f"started: {SITE}/code/{ref}; Ctrl-C leaves it running, the same command follows it")
    return ref


def write_script(settings: Settings, script: str, ref: str) -> Path:
    """The script and its metadata in a folder, as the client takes them."""
    folder = CACHE / "kernel"
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "script.py").write_text(script)
    metadata = {
        "id": ref,
        "title": ref.partition("/")[2].replace("-", " "),
        "code_file": "script.py",
        "language": "python",
        "kernel_type": "script",
        "is_private": True,
        "enable_gpu": True,
        "enable_internet": True,  # for the few packages that Kaggle's image has otherwise
        "competition_sources": [str(settings.competition.slug)],
    }
    write_json(folder / "kernel-metadata.json", metadata)
    return folder


def forget() -> None:
    """Follow no run any more: what it left is here."""
    STATE.unlink(missing_ok=True)


def wait_for(settings: Settings, ref: str) -> None:
    """Wait until a run has ended, and left something.

    Raises:
        UserError: it left nothing.
    """
    owner, _, slug = ref.partition("/")
    began = time.monotonic()
    with console.status(f"{ref}: waiting") as shown:
        while True:
            found = call(settings, "kernel_status", owner, slug)
            if found["status"] not in BUSY:
                break
            passed = duration(time.monotonic() - began)
            shown.update(f"{ref}: {found['status'].lower()}, followed for {passed}")
            time.sleep(POLL)
    if found["status"] == "COMPLETE":
        return
    output = call(settings, "kernel_output", owner, slug)
    if {FOLDS, ABOUT} <= set(output["files"]):  # what it finished before is not lost
        warn(f"the run ended as {found['status']}; the networks that it finished are fetched")
        return
    STATE.unlink(missing_ok=True)  # the same command starts another
    last = _last_words(output["log"])
    said = " ".join(f"{found['message']} {last}".split())[:300]
    raise UserError(f"the run ended as {found['status']}: {said}; all of it: {SITE}/code/{ref}")


def _last_words(log: str) -> str:
    """The last line that a run printed."""
    try:
        text = "".join(str(each.get("data", "")) for each in json.loads(log))
    except (ValueError, AttributeError, TypeError):
        text = log
    lines = [line for line in text.splitlines() if line.strip()]
    return lines[-1] if lines else "it printed nothing"


def fetch(settings: Settings, ref: str, digest: str, folder: Path) -> Path:
    """Download the run's folds, and nothing else; the path of the zip, which is whole.

    Raises:
        UserError: they are not there, too large, cut, or of another run.
    """
    owner, _, slug = ref.partition("/")
    files = call(settings, "kernel_output", owner, slug)["files"]
    if not {FOLDS, ABOUT} <= set(files):
        STATE.unlink(missing_ok=True)
        found = ", ".join(sorted(files)[:5]) or "nothing"
        raise UserError(f"the run left no trained network; it left {found}; {SITE}/code/{ref}")
    about: dict[str, Any] = read_json(_download(files[ABOUT], folder / ABOUT, SMALL))
    if about.get("work") != digest:
        STATE.unlink(missing_ok=True)
        raise UserError("the run's files are of other settings; `make kaggle-train` starts another")
    path = _download(files[FOLDS], folder / FOLDS, LARGE)
    if sha256_file(path) != about["sha256"]:
        raise UserError(
            "the folds came damaged from Kaggle; `make kaggle-train` fetches them again"
        )
    return path


def _download(url: str, path: Path, limit: int, attempts: int = 3) -> Path:
    """Download a file of so many bytes at most; its address may hold a signature: never shown."""
    opener = urllib.request.build_opener()  # with the proxies that are set now
    for attempt in range(1, attempts + 1):
        try:
            with opener.open(url, timeout=60) as answer, path.open("wb") as file:
                left = limit
                while part := answer.read(min(1 << 20, left + 1)):
                    left -= len(part)
                    if left < 0:
                        raise UserError(f"{path.name} from Kaggle is over {limit:,} bytes")
                    file.write(part)
                if answer.length:  # what was announced and did not come
                    raise http.client.IncompleteRead(b"", answer.length)
                return path
        except urllib.error.HTTPError as error:
            why, final = f"{error.code}", error.code < 500
        except (OSError, http.client.HTTPException) as error:
            why, final = type(error).__name__, False
        if final or attempt == attempts:
            break
        say(f"{path.name}: {why}; trying again ({attempt + 1} of {attempts})")
        time.sleep(1)
    raise UserError(f"{path.name} could not be downloaded from Kaggle ({why}); run this again")
