"""The machine that trains: this one, or those of a cluster. It is part of a cached fold's name."""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from pipeline.base.digests import sha256_json
from pipeline.base.files import read_json, write_json
from pipeline.base.hardware import describe, has_bfloat16, has_gpu
from pipeline.base.paths import CACHE
from pipeline.network.way import Way

BROUGHT = CACHE / "machines"
# Images a second by the way; it gets a recipe, the images' shape, classes and ways.
Measure = Callable[..., dict[Way, float]]


@dataclass(frozen=True)
class Machine:
    """What may change the bits of a network that is trained there, and how fast it trains."""

    description: dict[str, Any]  # see `hardware.describe`
    bfloat16: bool
    gpu: bool
    measure: Measure | None = field(default=None, compare=False)  # None: it is measured here

    def plain(self) -> dict[str, Any]:
        """What another process makes the same machine of: `Machine(**plain)`."""
        return {"description": self.description, "bfloat16": self.bfloat16, "gpu": self.gpu}


def here() -> Machine:
    """The machine of this process."""
    return Machine(describe(), has_bfloat16(), has_gpu())


_others: list[Machine] = []  # those of a cluster, if it trains


def machines() -> list[Machine]:
    """All that train, or have trained what was brought here.

    The first decides the way, and names what is not trained yet.
    """
    return [*(_others or [here()]), *_brought()]


def bring(machine: Machine) -> None:
    """Note a machine elsewhere whose folds are put into the cache."""
    write_json(BROUGHT / f"{sha256_json(machine.plain())[:16]}.json", machine.plain())


def _brought() -> list[Machine]:
    paths = sorted(BROUGHT.glob("*.json"))
    return [Machine(**read_json(path)) for path in paths]


def trains(machine: Machine) -> None:
    """Note that a machine of a cluster trains, and this one does not."""
    if machine not in _others:
        _others.append(machine)


def forget_others() -> None:
    """Note that this machine trains again."""
    _others.clear()
