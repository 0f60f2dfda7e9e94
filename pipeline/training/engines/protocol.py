"""What a stage and its child that speaks with Ray say to each other."""

from typing import Any, NamedTuple

REFUSED, READY, SPEEDS = "refused", "ready", "speeds"  # what the child says


class Ready(NamedTuple):
    """The first trainer is there."""

    machine: dict[str, Any]  # as `Machine` takes it
    slots: int
