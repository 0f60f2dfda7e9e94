"""What is to be tracked, written down before it is sent: a file of lines a stage's process.

A stage only appends; a process of its own (`pipeline/follow.py`) reads along and sends. So a
tracking server that is slow, down or dying costs a stage nothing, and what it did not take is kept.
"""

import json
import os
import shutil
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil

from pipeline.files import CACHE, replacing, sha256_file

JOURNALS = CACHE / "tracking"
DOWN = JOURNALS / "down"  # there while a server that does not answer has been told of
KEPT = JOURNALS / "files"  # copies of the files that entries speak of, by their digests
Entry = dict[str, Any]


@dataclass(frozen=True)
class Journal:
    """One process's journal; its name says whose, so that a dead writer's can be told."""

    path: Path

    @classmethod
    def of_this_process(cls) -> "Journal":
        """This process's; after a process has replaced itself (exec), still the same."""
        return cls(JOURNALS / f"{_born(os.getpid())}-{os.getpid()}.jsonl")

    def append(self, entry: Entry) -> None:
        """Write one entry, in one go, so that a kill leaves it whole or not at all."""
        self.path.parent.mkdir(parents=True, exist_ok=True)
        line = json.dumps(entry | {"time": int(time.time() * 1000)}) + "\n"
        handle = os.open(self.path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
        try:
            os.write(handle, line.encode())
        finally:
            os.close(handle)

    def entries(self) -> list[Entry]:
        """All whole entries so far."""
        try:
            text = self.path.read_text(encoding="utf-8", errors="replace")
        except FileNotFoundError:
            return []
        entries = []
        for line in text.split("\n")[:-1]:
            try:
                entries.append(json.loads(line))
            except ValueError:  # half a line of a process that a full disk or a kill cut short
                continue
        return entries

    def writer_lives(self) -> bool:
        """Whether the process that writes it is still there."""
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

    def discard(self) -> None:
        """Remove it, and the copies that no other journal speaks of."""
        mine = _files(self.entries())
        self.path.unlink(missing_ok=True)
        for suffix in (".sent", ".left", ".lock"):
            self.path.with_suffix(suffix).unlink(missing_ok=True)
        others = {path for journal in journals() for path in _files(journal.entries())}
        for path in mine - others:
            (KEPT / path).unlink(missing_ok=True)


def _born(pid: int) -> int:
    """When a process began: ticks since the machine did (Linux), whatever its clock is set to."""
    try:
        stat = Path(f"/proc/{pid}/stat").read_text()
        return int(stat.rpartition(")")[2].split()[19])
    except OSError:
        return int(psutil.Process(pid).create_time() * 1000)


def journals() -> Iterator[Journal]:
    """All that are there, the oldest first."""
    paths = JOURNALS.glob("*-*.jsonl")
    for path in sorted(paths, key=lambda path: path.stat().st_mtime):
        yield Journal(path)


def keep(path: Path) -> str:
    """Copy a file that an entry is to speak of, so that it may change; the copy's name."""
    name = f"{sha256_file(path)[:24]}-{path.name}"
    if not (KEPT / name).exists():
        with replacing(KEPT / name) as temporary:
            shutil.copyfile(path, temporary)
    return name


def _files(entries: list[Entry]) -> set[str]:
    return {name for entry in entries for name in entry.get("files", {}).values()}
