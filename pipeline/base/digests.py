"""Digests that name bytes, values and code."""

import ast
import hashlib
import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from pipeline.base.files import open_file


def sha256_file(path: Path) -> str:
    """The hex SHA-256 of a file's bytes."""
    with open_file(path) as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def sha256_json(value: Any) -> str:
    """The hex SHA-256 of a value's canonical JSON, the same for the same settings everywhere."""
    text = json.dumps(value, sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(text.encode()).hexdigest()


def sha256_files(paths: Iterable[Path]) -> str:
    """The hex SHA-256 of some files, each by its path and bytes."""
    digest = hashlib.sha256()
    for path in sorted(paths):
        digest.update(path.as_posix().encode() + b"\0" + path.read_bytes() + b"\0")
    return digest.hexdigest()


def sha256_code(source: str) -> str:
    """The hex SHA-256 of Python source without comments, docstrings and layout."""
    tree = ast.parse(source)
    documented = ast.Module | ast.ClassDef | ast.FunctionDef
    for node in ast.walk(tree):
        if isinstance(node, documented) and ast.get_docstring(node):
            del node.body[0]
    return sha256_json(_plain(tree))


def _plain(node: Any) -> Any:
    """A syntax tree as lists, the same by every Python: newer ones add fields that are empty."""
    if isinstance(node, ast.AST):
        fields = ast.iter_fields(node)
        filled = [[name, _plain(each)] for name, each in fields if each is not None and each != []]
        return [type(node).__name__, *filled]
    if isinstance(node, list):
        return [_plain(each) for each in node]
    return repr(node)


def md5_file(path: Path) -> str:
    """The MD5 of a file's bytes, which is DVC's name for them."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, lambda: hashlib.md5(usedforsecurity=False)).hexdigest()
