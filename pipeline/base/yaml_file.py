"""YAML read as DVC reads it (YAML 1.2, by ruamel.yaml), without its surprises."""

import io
import math
from pathlib import Path
from typing import Any

from ruamel.yaml import YAML
from ruamel.yaml.comments import CommentedSeq
from ruamel.yaml.composer import Composer
from ruamel.yaml.constructor import SafeConstructor
from ruamel.yaml.error import YAMLError
from ruamel.yaml.events import AliasEvent

from pipeline.base.dotted import place_of
from pipeline.base.errors import UserError, one_line, quoted
from pipeline.base.files import read_text, replacing

LONGEST = 100_000  # bytes; people do not write longer settings


class _WithoutAliases(Composer):
    """Refuses `*name`: a few lines of aliases can stand for gigabytes."""

    def compose_node(self, parent: Any, index: Any) -> Any:
        if self.parser.check_event(AliasEvent):
            raise YAMLError("an alias (*name) is not allowed")
        return super().compose_node(parent, index)


class _PlainValues(SafeConstructor):
    """Refuses repeated keys, keys that are lists, inf and nan."""

    def check_mapping_key(
        self, node: Any, key_node: Any, mapping: Any, key: Any, value: Any
    ) -> bool:
        line = key_node.start_mark.line + 1
        if isinstance(key, tuple):
            raise YAMLError(f"line {line}: a key must be one word, not a list")
        if key in mapping:
            raise YAMLError(f"line {line}: the key {quoted(key)} is given twice")
        return super().check_mapping_key(node, key_node, mapping, key, value)

    def construct_yaml_float(self, node: Any) -> float:
        value = float(super().construct_yaml_float(node))
        if not math.isfinite(value):
            line = node.start_mark.line + 1
            raise YAMLError(f"line {line}: {quoted(node.value)}: it must be a finite number")
        return value


_PlainValues.add_constructor("tag:yaml.org,2002:float", _PlainValues.construct_yaml_float)


def parse_yaml(text: str) -> Any:
    """The value of a YAML text: plain values only, never an object of a class the text names.

    Raises:
        YAMLError: it is not YAML, or has what this module refuses.
    """
    reader = YAML(typ="safe", pure=True)
    reader.Composer, reader.Constructor = _WithoutAliases, _PlainValues
    try:
        return reader.load(text)
    except RecursionError:
        raise YAMLError("it is nested too deep") from None
    except (ValueError, TypeError, AttributeError, LookupError) as error:  # `!!int abc`
        raise YAMLError(str(error)) from None


def read_yaml(path: Path, longest: int = LONGEST) -> dict[str, Any]:
    """Read a YAML file whose top level is a mapping; it may have `longest` bytes.

    Raises:
        UserError: the file is missing, is not YAML, repeats a key, or is not a mapping.
    """
    try:
        value = parse_yaml(read_text(path, longest))
    except FileNotFoundError as error:
        hint = "is this the project's folder?"
        raise UserError(f"{path} cannot be read: {error.strerror}; {hint}") from None
    except OSError as error:
        raise UserError(f"{path} cannot be read: {error.strerror}") from None
    except (YAMLError, ValueError) as error:
        raise UserError(f"{path} is not valid YAML: {one_line(str(error))}") from None
    if not isinstance(value, dict):
        found = "empty" if value is None else f"of type {type(value).__name__}"
        raise UserError(f"{path} must be a mapping of keys to values; it is {found}")
    return value


def write_yaml(path: Path, value: dict[str, Any]) -> None:
    """Write a mapping of plain values, in its own order, complete or not at all."""
    writer = YAML(typ="safe", pure=True)
    writer.default_flow_style = False
    writer.sort_base_mapping_type_on_output = False  # type: ignore[assignment]
    writer.representer.ignore_aliases = lambda _: True  # the same value twice is written twice
    with replacing(path) as temporary, temporary.open("w", encoding="utf-8") as file:
        writer.dump(value, file)


def edit_yaml(text: str, changes: dict[str, Any]) -> str:
    """A YAML text with the values at some dotted keys replaced; comments stay.

    Raises:
        ValueError: there is no such key.
    """
    editor = YAML()  # keeps comments
    editor.preserve_quotes, editor.width = True, LONGEST
    editor.indent(mapping=2, sequence=4, offset=2)
    editor.representer.add_representer(
        type(None), lambda writer, _: writer.represent_scalar("tag:yaml.org,2002:null", "null")
    )
    document = editor.load(text)
    for key, value in changes.items():
        holder, place = place_of(document, key)
        if isinstance(value, list):
            value = CommentedSeq(value)
            value.fa.set_flow_style()
            old = holder[place]
            after = getattr(old, "ca", None)
            if after and (kept := after.items.get(len(old) - 1)):
                holder.ca.items[place] = [None, None, kept[0], None]  # what follows the old list
        holder[place] = value
    written = io.StringIO()
    editor.dump(document, written)
    return written.getvalue()
