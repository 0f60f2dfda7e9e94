"""The name of a cached fold: a digest of everything that decides the fold's result."""

from dataclasses import asdict
from functools import cache
from pathlib import Path

from pipeline.base.digests import sha256_code, sha256_json
from pipeline.data.arrays import Data
from pipeline.network.task import Task
from pipeline.training.machine import Machine, machines

NETWORK = Path(__file__).parents[1] / "network"
# What a recipe says that changes no weight; the epochs that count are the task's.
WITHOUT_EFFECT = {"description", "published", "remark", "split", "search", "epochs"}


@cache
def network_code(folder: Path = NETWORK) -> dict[str, str]:
    """The SHA-256 of each module of `network/`, without comments and docstrings."""
    return {
        path.relative_to(folder).as_posix(): sha256_code(path.read_text())
        for path in sorted(folder.rglob("*.py"))
    }


def fingerprint(task: Task, data: Data, machine: Machine | None = None) -> str:
    """The name of a task's folder in the cache, by the machine that trains it: 24 hex digits."""
    decides = asdict(task) | {"recipe": task.recipe.model_dump(exclude=WITHOUT_EFFECT)}
    described = (machine or machines()[0]).description
    decides |= {"data": data.digests, "code": network_code(), "machine": described}
    return sha256_json(decides)[:24]
