"""What a stage and its child that speaks with Ray say to each other."""

from dataclasses import dataclass
from typing import Any, NamedTuple

REFUSED, READY, SPEEDS = "refused", "ready", "speeds"  # what the child says


@dataclass(frozen=True)
class Wanted:
    """What the settings say of the cluster."""

    address: str
    workers: int | None
    gpus: float | None
    mixed: bool


class Ready(NamedTuple):
    """The first trainer is there."""

    machine: dict[str, Any]  # as `Machine` takes it
    slots: int
