"""What every stage does around its own work: its lock, its inputs looked through, its time."""

import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

import psutil
from filelock import FileLock, Timeout

from pipeline.console import say
from pipeline.files import CACHE, read_json, write_json
from pipeline.intact import check_inputs

SECONDS = Path("experiments/cache/seconds")  # of this working directory, unlike the rest of CACHE


@contextmanager
def stage(name: str) -> Iterator[None]:
    """Hold the stage's lock, waiting for another process that has it; note the time it took.

    What DVC says the stage reads is looked through first.

    Killing dvc alone leaves its stage running, and a second dvc may start beside it. An experiment
    in a temporary directory shares the cache of finished folds, and so the lock. The system
    releases it with the process that held it, so it is never left stale.

    Raises:
        UserError: an input is not what the stage before wrote.
    """
    path = CACHE / "locks" / f"{name}.lock"
    path.parent.mkdir(parents=True, exist_ok=True)
    lock = FileLock(path)
    try:
        lock.acquire(timeout=0)
    except Timeout:
        say(f"another process is running {name} here; waiting for it to end ...")
        lock.acquire()
    try:
        check_inputs()
        yield
    finally:
        lock.release()
    seconds = time.time() - psutil.Process().create_time()  # imports and all
    write_json(SECONDS / f"{name}.json", round(seconds, 1))


def stage_seconds(recipes: Iterable[str]) -> dict[str, float | None]:
    """How long each stage took when it last ran here, in seconds; None if it never did."""
    trained = [f"train-{name}" for name in recipes]
    paths = {
        name: SECONDS / f"{name}.json"
        for name in ("download", "preprocess", "tune", *trained, "ensemble", "submission")
    }
    return {
        name.replace("-", "@"): float(read_json(path)) if path.exists() else None
        for name, path in paths.items()
    }
