"""Nested values by dotted keys: `layers.3.Dropout.rate`, `augmentation.zoom_range`."""

from copy import deepcopy
from typing import Any


def flatten(value: Any, prefix: str = "") -> dict[str, Any]:
    """`{"a": {"b": [1, 2]}}` -> `{"a.b.0": 1, "a.b.1": 2}`."""
    if isinstance(value, dict):
        pairs: Any = value.items()
    elif isinstance(value, list | tuple):
        pairs = enumerate(value)
    else:
        return {prefix: value}
    flat: dict[str, Any] = {}
    for key, inner in pairs:
        flat |= flatten(inner, f"{prefix}.{key}" if prefix else str(key))
    return flat


def value_at(values: dict[str, Any], key: str) -> Any:
    """The value at a dotted key.

    Raises:
        ValueError: there is no such key.
    """
    value: Any = values
    for part in key.split("."):
        try:
            value = value[int(part)] if isinstance(value, list) else value[part]
        except (KeyError, IndexError, ValueError, TypeError):
            raise ValueError(f"{key}: there is no such key ({part})") from None
    return value


def with_values(values: dict[str, Any], changes: dict[str, Any]) -> dict[str, Any]:
    """A copy with the values at some dotted keys replaced, one after the other.

    Raises:
        ValueError: there is no such key.
    """
    copy = deepcopy(values)
    for key, value in changes.items():
        holder, place = place_of(copy, key)
        holder[place] = deepcopy(value)
    return copy


def place_of(values: dict[str, Any], key: str) -> tuple[Any, Any]:
    """The mapping or list that holds the value at a dotted key, and the value's place in it.

    Raises:
        ValueError: there is no such key.
    """
    value_at(values, key)
    *parents, last = key.split(".")
    holder: Any = value_at(values, ".".join(parents)) if parents else values
    return holder, int(last) if isinstance(holder, list) else last
