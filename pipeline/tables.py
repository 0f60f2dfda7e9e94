"""The competition's CSV files: written, and read with every cell checked.

polars reads them because it parses these 785 columns several times as fast as pandas or pyarrow
(`make benchmark-csv`), a block at a time, so that a file of any length takes little memory.
"""

from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

import numpy as np
import polars as pl

from pipeline.console import UserError
from pipeline.files import replacing

BLOCK_BYTES = 8 << 20


def write_csv(path: Path, columns: dict[str, np.ndarray]) -> None:
    """Write columns of numbers as Kaggle does: a header, no quotes, LF."""
    with replacing(path) as temporary:
        pl.DataFrame(columns).write_csv(temporary)


def read_bytes(path: Path, columns: list[str]) -> np.ndarray:
    """Read a CSV whose header is exactly `columns` and whose cells are whole numbers 0..255.

    Returns:
        uint8, (rows, columns).

    Raises:
        UserError: a fault, with the file, its row (1 is the first under the header), column, value.
    """
    try:
        with path.open("rb") as file:
            _check_header(path, file.readline(), columns)
            rows = 0
            parts = []
            for block in _blocks(file):
                parts.append(_parse(path, block, columns, rows))
                rows += len(parts[-1])
    except OSError as error:
        raise UserError(f"{path} cannot be read: {error.strerror}; `dvc repro` makes it") from None
    if not rows:
        raise UserError(f"{path} has a header and no rows; download it again")
    return np.concatenate(parts)


def _check_header(path: Path, line: bytes, columns: list[str]) -> None:
    if not line.strip():
        raise UserError(f"{path} is empty; download it again")
    text = line.decode("utf-8-sig", errors="replace").rstrip("\r\n")
    names = text.split(",")
    if names == columns:
        return
    twice = next((name for name in names if names.count(name) > 1), None)
    if twice is not None:
        raise UserError(f"{path}: header: the column {_short(twice)} is there twice")
    if len(names) != len(columns):
        raise UserError(f"{path}: header: {len(names)} columns where {len(columns)} are wanted")
    position = next(i for i, name in enumerate(names) if name != columns[i])
    raise UserError(
        f"{path}: header: column {position + 1} is {_short(names[position])}, "
        f"not {columns[position]!r}"
    )


def _blocks(file: BinaryIO) -> Iterator[bytes]:
    """The rest of the file in blocks of whole lines."""
    rest = b""
    while block := file.read(BLOCK_BYTES):
        end = block.rfind(b"\n") + 1
        if end:
            yield rest + block[:end]
            rest = block[end:]
        else:
            rest += block
    if rest:
        yield rest


def _parse(path: Path, block: bytes, columns: list[str], rows_before: int) -> np.ndarray:
    schema = dict.fromkeys(columns, pl.UInt8)
    try:
        frame = pl.read_csv(block, has_header=False, schema=schema, quote_char=None)
    except pl.exceptions.PolarsError as error:
        _locate_fault(path, block, columns, rows_before)
        raise UserError(f"{path}: {str(error).splitlines()[0]}") from None
    if sum(frame.null_count().row(0)):
        _locate_fault(path, block, columns, rows_before)
    return frame.to_numpy(order="c")


def _locate_fault(path: Path, block: bytes, columns: list[str], rows_before: int) -> None:
    """Go over a block that did not parse, line by line, and raise with the first fault's place."""
    lines = block.decode("utf-8", errors="replace").removesuffix("\n").split("\n")
    for row, line in enumerate(lines, start=rows_before + 1):
        cells = line.removesuffix("\r").split(",")
        if len(cells) != len(columns):
            raise UserError(
                f"{path}: row {row}: {len(cells)} cells where the header has {len(columns)}"
            )
        for column, cell in zip(columns, cells, strict=True):
            if not cell:
                raise UserError(f"{path}: row {row}, column {column}: the value is missing")
            if not (cell.isascii() and cell.isdigit() and len(cell) < 20 and int(cell) <= 255):
                raise UserError(
                    f"{path}: row {row}, column {column}: {_short(cell)} is not "
                    f"a whole number 0..255"
                )


def _short(text: str) -> str:
    return repr(text if len(text) <= 20 else text[:20] + "...")
