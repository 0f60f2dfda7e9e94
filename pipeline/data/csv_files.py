"""The competition's CSV files: written, and read with every cell checked.

polars reads them because it parses these 785 columns several times as fast as pandas or pyarrow
(`make benchmark-csv`), a block at a time, so that a file of any length takes little memory.
"""

import re
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

import numpy as np
import polars as pl

from pipeline.base.errors import UserError, first_line, quoted
from pipeline.base.files import UTF16, open_file, read_text, replacing

BLOCK_BYTES = 8 << 20
LONGEST_SUBMISSION = 1 << 25  # bytes
MEND = "fix the file, or delete it and run `dvc repro`"
# What polars takes for a whole number.
_WHOLE = re.compile(r"[ \t]*\+?0*([0-9]{1,3})")


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
        with open_file(path) as file:
            # No further than a good header may reach: a bad one may be the whole of a large file.
            _check_header(path, file.readline(header_bytes(columns)), columns)
            rows = 0
            parts = []
            for block in _blocks(path, file, 64 * len(columns)):
                parts.append(_parse(path, block, columns, rows))
                rows += len(parts[-1])
    except OSError as error:
        raise UserError(f"{path} cannot be read: {error.strerror}; `dvc repro` makes it") from None
    if not rows:
        raise UserError(f"{path} has a header and no rows; {MEND}")
    return np.concatenate(parts)


def read_cells(path: Path, columns: list[str]) -> list[list[str]]:
    """Read a CSV whose header is exactly `columns`, its cells as they are: no quotes, no blanks.

    Returns:
        Its rows, of as many cells as there are columns.

    Raises:
        UserError: a fault, with the file and its row.
    """
    try:
        text = read_text(path, LONGEST_SUBMISSION)
    except FileNotFoundError:
        raise UserError(f"{path} is missing; `dvc repro` makes it") from None
    except OSError as error:
        raise UserError(f"{path} cannot be read: {error.strerror}; `dvc repro` makes it") from None
    except ValueError as error:
        raise UserError(f"{path} is not a valid CSV file: {error}; {MEND}") from None
    header, _, body = text.partition("\n")
    _check_header(path, header[: header_bytes(columns)].encode(), columns)
    rows = []
    for number, line in enumerate(body.removesuffix("\n").split("\n") if body else [], start=1):
        _check_count(path, number, line.count(",") + 1, columns)
        rows.append(line.removesuffix("\r").split(","))
    return rows


def header_bytes(columns: list[str]) -> int:
    """How far to read for the header of these columns, or for what is wrong with another."""
    return len(",".join(columns).encode()) + 1024


def _check_header(path: Path, line: bytes, columns: list[str]) -> None:
    if not line.strip():
        raise UserError(f"{path} is empty; {MEND}")
    if line.startswith(UTF16):
        raise UserError(f"{path} is UTF-16; save it as UTF-8")
    text = line.decode("utf-8-sig", errors="replace").rstrip("\r\n")
    names = text.split(",")
    if names == columns:
        return
    if "\r" in text:
        raise UserError(f"{path}: its lines end in CR alone; save it with LF")
    if len(line) >= header_bytes(columns):
        raise UserError(f"{path}: header: far longer than {len(columns)} columns need; {MEND}")
    twice = next((name for name, count in Counter(names).items() if count > 1), None)
    if twice is not None:
        raise UserError(f"{path}: header: the column {quoted(twice)} appears twice; {MEND}")
    if len(names) != len(columns):
        raise UserError(
            f"{path}: header: expected {len(columns)} columns, found {len(names)}; {MEND}"
        )
    position = next(i for i, name in enumerate(names) if name != columns[i])
    raise UserError(
        f"{path}: header: column {position + 1}: expected {columns[position]!r}, "
        f"found {quoted(names[position])}; {MEND}"
    )


def _blocks(path: Path, file: BinaryIO, longest: int) -> Iterator[bytes]:
    """The rest of the file in blocks of whole lines, none over `longest` bytes and a block."""
    rest = b""
    while block := file.read(BLOCK_BYTES):
        end = block.rfind(b"\n") + 1
        if end:
            yield rest + block[:end]
            rest = block[end:]
        else:
            rest += block
        if len(rest) > longest + BLOCK_BYTES:
            raise UserError(f"{path}: a line is far longer than a row can be; {MEND}")
    if rest:
        yield rest


def _parse(path: Path, block: bytes, columns: list[str], rows_before: int) -> np.ndarray:
    schema = dict.fromkeys(columns, pl.UInt8)
    try:
        frame = pl.read_csv(block, has_header=False, schema=schema, quote_char=None)
    except pl.exceptions.PolarsError as error:
        _locate_fault(path, block, columns, rows_before)
        raise UserError(f"{path}: {first_line(error)}; {MEND}") from None
    if sum(frame.null_count().row(0)):
        _locate_fault(path, block, columns, rows_before)
        raise UserError(f"{path}: a value is missing; {MEND}")
    return frame.to_numpy(order="c")


def _locate_fault(path: Path, block: bytes, columns: list[str], rows_before: int) -> None:
    """Go over a block that did not parse, line by line, and raise with the first fault's place."""
    lines = block.decode("utf-8", errors="replace").removesuffix("\n").split("\n")
    for row, line in enumerate(lines, start=rows_before + 1):
        cells = line.removesuffix("\r").split(",")
        _check_count(path, row, len(cells), columns)
        for column, cell in zip(columns, cells, strict=True):
            if not cell:
                raise UserError(f"{path}: row {row}, column {column}: no value; {MEND}")
            whole = _WHOLE.fullmatch(cell)
            if whole is None or int(whole[1]) > 255:
                raise UserError(
                    f"{path}: row {row}, column {column}: {quoted(cell)} is not "
                    f"a whole number 0..255; {MEND}"
                )


def _check_count(path: Path, row: int, cells: int, columns: list[str]) -> None:
    if cells != len(columns):
        raise UserError(f"{path}: row {row}: expected {len(columns)} cells, found {cells}; {MEND}")
