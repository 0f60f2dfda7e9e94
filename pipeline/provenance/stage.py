"""What every stage does around its own work: its lock, its inputs checked, its time noted."""

import os
import signal
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from threading import Thread

import psutil

from pipeline.base.files import read_json, write_json
from pipeline.base.locks import locked
from pipeline.base.paths import RESTARTED, SECONDS
from pipeline.provenance.inputs import check_inputs


@contextmanager
def stage(name: str) -> Iterator[list[float]]:
    """Hold the stage's lock, check what DVC says the stage reads, note the time it takes.

    The block gets a list for seconds of work that it found done, such as folds in the cache: the
    time noted is that of the result, not of the last look at it.

    Killing `dvc repro` alone leaves its stage running, and a second may start beside it. An
    experiment in a temporary directory shares the cache of finished folds, and so the lock.

    Raises:
        UserError: an input is not what the stage before wrote.
    """
    _end_with_the_queue()
    with locked(name, f"running {name}") as waited:
        check_inputs()
        found_done: list[float] = []
        yield found_done
    began = float(os.environ.get(RESTARTED) or psutil.Process().create_time())  # imports too
    seconds = time.time() - began - waited + sum(found_done)
    write_json(SECONDS / f"{name}.json", round(seconds, 1))


def _end_with_the_queue() -> None:
    """End this process with the one of DVC's queue that started it, if one did.

    `dvc queue kill` and `dvc queue stop --kill` end that one alone; nobody would see the stage go
    on. What it has finished is kept.
    """
    above = psutil.Process().parents()
    of_queue = next((each for each in above if "exec-run" in _words(each)), None)

    def watch(process: psutil.Process) -> None:
        process.wait()
        os.kill(os.getpid(), signal.SIGTERM)

    if of_queue:
        Thread(target=watch, args=[of_queue], daemon=True).start()


def _words(process: psutil.Process) -> list[str]:
    try:
        return process.cmdline()
    except psutil.Error:  # another user's, or ended
        return []


def stage_seconds(recipes: Iterable[str]) -> dict[str, float | None]:
    """How long each stage took when it last ran here, in seconds; None if it never did."""
    each = [f"{step}-{name}" for step in ("tune", "train") for name in recipes]
    paths = {
        name: SECONDS / f"{name}.json"
        for name in ("download", "preprocess", *each, "ensemble", "submission")
    }
    return {
        name.replace("-", "@"): float(read_json(path)) if path.exists() else None
        for name, path in paths.items()
    }
