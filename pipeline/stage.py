"""What every stage does around its own work: take its lock, note how long it took."""

import json
import time
from collections.abc import Iterator
from contextlib import contextmanager

import psutil
from filelock import FileLock, Timeout

from pipeline.console import say
from pipeline.files import CACHE, write_json

SECONDS = CACHE / "seconds"


@contextmanager
def stage(name: str) -> Iterator[None]:
    """Hold the lock of the stage `name` in this checkout, waiting for another process that has it.

    Killing dvc alone leaves its stage running, and a second dvc may start beside it. The system
    releases the lock with the process that held it, so a lock is never left stale.
    """
    path = CACHE / "locks" / f"{name}.lock"
    path.parent.mkdir(parents=True, exist_ok=True)
    lock = FileLock(path)
    try:
        lock.acquire(timeout=0)
    except Timeout:
        say(f"another process of this checkout is running {name}; waiting for it to end ...")
        lock.acquire()
    try:
        yield
    finally:
        lock.release()
    seconds = time.time() - psutil.Process().create_time()  # imports and all
    write_json(SECONDS / f"{name}.json", round(seconds, 1))


def stage_seconds(name: str) -> float | None:
    """How long the stage took when it last ran here, in seconds; None if it never did."""
    path = SECONDS / f"{name}.json"
    return json.loads(path.read_text()) if path.exists() else None
