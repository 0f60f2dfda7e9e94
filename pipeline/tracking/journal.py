"""What is to be logged, written down before it is sent: one file of lines a stage's process.

A stage only appends; a process beside it (`sender.py`) reads along and sends. So a tracking server
that is slow, down or dying costs a stage nothing, and what the server did not take is kept.
"""

import os
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import psutil

from pipeline.base.console import warn
from pipeline.base.digests import sha256_file
from pipeline.base.files import replacing
from pipeline.base.paths import CACHE
from pipeline.tracking.entries import Entry, from_line, to_line

JOURNALS = CACHE / "tracking"
DOWN = JOURNALS / "down"  # exists while the user knows that the server does not answer
KEPT = JOURNALS / "files"  # copies of the files that entries refer to, named by their digests


@dataclass(frozen=True)
class Journal:
    """One process's journal; its name tells which process writes it, and so whether that lives."""

    path: Path

    @classmethod
    def of_this_process(cls) -> "Journal":
        """This process's; still the same after the process has replaced itself (exec)."""
        return cls(JOURNALS / f"{_born(os.getpid())}-{os.getpid()}.jsonl")

    def append(self, entry: Entry) -> None:
        """Write one entry, in one go, so that a kill leaves it complete or absent."""
        self.path.parent.mkdir(parents=True, exist_ok=True)
        handle = os.open(self.path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
        try:
            os.write(handle, to_line(entry).encode())
        finally:
            os.close(handle)

    def entries(self) -> list[Entry]:
        """All complete entries so far."""
        try:
            text = self.path.read_text(encoding="utf-8", errors="replace")
        except FileNotFoundError:
            return []
        return [entry for line in text.split("\n")[:-1] if (entry := from_line(line))]

    def writer_lives(self) -> bool:
        """Whether the process that writes it is still running."""
        born, _, pid = self.path.stem.partition("-")
        try:
            zombie = psutil.Process(int(pid)).status() == psutil.STATUS_ZOMBIE
            return not zombie and _born(int(pid)) == int(born)
        except (psutil.Error, ValueError):
            return False

    def sent(self) -> int:
        """How many of its entries have been sent."""
        try:
            return int(self.path.with_suffix(".sent").read_text())
        except (OSError, ValueError):
            return 0

    def mark_sent(self, count: int) -> None:
        """Note how many of its entries have been sent."""
        with replacing(self.path.with_suffix(".sent")) as temporary:
            temporary.write_text(str(count))

    def put_aside(self) -> None:
        """Keep it, under a name that nothing sends, and say so: it cannot be read."""
        aside = self.path.with_suffix(".unread")
        self.path.replace(aside)
        warn(f"tracking: {aside} is not what this version of the code writes; it is not sent")

    def discard(self) -> None:
        """Remove it, and the copies that no other journal refers to."""
        mine = _copies(self)
        self.path.unlink(missing_ok=True)
        for suffix in (".sent", ".left", ".lock"):
            self.path.with_suffix(suffix).unlink(missing_ok=True)
        others = {path for journal in journals() for path in _copies(journal)}
        for path in mine - others:
            (KEPT / path).unlink(missing_ok=True)


def _born(pid: int) -> int:
    """When a process started: ticks since the machine did (Linux), whatever the clock says."""
    try:
        stat = Path(f"/proc/{pid}/stat").read_text()
        return int(stat.rpartition(")")[2].split()[19])
    except OSError:
        return int(psutil.Process(pid).create_time() * 1000)


def journals() -> Iterator[Journal]:
    """All journals, the oldest first."""
    paths = JOURNALS.glob("*-*.jsonl")
    for path in sorted(paths, key=lambda path: path.stat().st_mtime):
        yield Journal(path)


def keep(path: Path) -> str:
    """Copy a file that an entry will refer to, so that it may change; return the copy's name."""
    name = f"{sha256_file(path)[:24]}-{path.name}"
    if not (KEPT / name).exists():
        with replacing(KEPT / name) as temporary:
            shutil.copyfile(path, temporary)
    return name


def _copies(journal: Journal) -> set[str]:
    return {name for entry in journal.entries() for name in entry.files.values()}
