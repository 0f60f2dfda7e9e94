"""Locks between processes: a file that one process at a time holds."""

import time
from collections.abc import Iterator
from contextlib import contextmanager

from filelock import FileLock, Timeout

from pipeline.base.console import say
from pipeline.base.paths import CACHE

LOCKS = CACHE / "locks"


@contextmanager
def locked(name: str, doing: str) -> Iterator[float]:
    """Hold the lock `name`; wait, and say so, while another process holds it.

    Yields the seconds waited.

    The system releases a lock with the process that held it, so a kill leaves none behind.

    Args:
        name: what is locked, as a path; a stage by its name, all else in a folder.
        doing: what the other process does, for the line that says so.
    """
    path = LOCKS / f"{name}.lock"
    path.parent.mkdir(parents=True, exist_ok=True)
    lock, began = FileLock(path), time.monotonic()
    try:
        lock.acquire(timeout=0)
    except Timeout:
        say(f"another process is {doing} here; waiting for it to finish ...")
        lock.acquire()
    try:
        yield time.monotonic() - began
    finally:
        path.unlink(missing_ok=True)  # while it is held: a process that waits opens a new file
        lock.release()
