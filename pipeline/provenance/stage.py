"""What every stage does around its own work: its lock, its inputs checked, its time noted."""

import os
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager

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

    Killing dvc alone leaves its stage running, and a second dvc may start beside it. An experiment
    in a temporary directory shares the cache of finished folds, and so the lock.

    Raises:
        UserError: an input is not what the stage before wrote.
    """
    with locked(name, f"running {name}") as waited:
        check_inputs()
        found_done: list[float] = []
        yield found_done
    began = float(os.environ.get(RESTARTED) or psutil.Process().create_time())  # imports too
    seconds = time.time() - began - waited + sum(found_done)
    write_json(SECONDS / f"{name}.json", round(seconds, 1))


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
