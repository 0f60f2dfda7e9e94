"""Files that are complete or absent: written to a temporary file, flushed, moved into place."""

import codecs
import contextlib
import errno
import json
import os
import shutil
import stat
import tempfile
from collections.abc import Iterable, Iterator
from io import BufferedReader
from pathlib import Path
from typing import Any

import numpy as np

from pipeline.base.errors import UserError

AGAIN = "delete it and run `dvc repro`"  # what to do about a file that a stage writes
JSON_LIMIT = 1 << 24  # bytes
UTF16 = (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)


def remove(path: Path) -> None:
    """Remove a folder with all that is in it, or whatever else is in its place."""
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)


def open_file(path: Path) -> BufferedReader:
    """Open a file to read its bytes.

    Raises:
        OSError: it cannot be read, or is a folder or a pipe, which would block for ever.
    """
    mode = path.stat().st_mode
    if not stat.S_ISREG(mode):
        found = "a folder" if stat.S_ISDIR(mode) else "a pipe or a device"
        raise OSError(errno.EINVAL, f"it is {found}, not a file", str(path))
    return path.open("rb")


def read_text(path: Path, limit: int) -> str:
    """Read a file as UTF-8, its byte order mark taken off if it has one; line ends as they are.

    Raises:
        OSError: see `open_file`.
        ValueError: it is not UTF-8, or is longer than `limit` bytes.
    """
    with open_file(path) as file:
        content = file.read(limit + 1)
    if len(content) > limit:
        raise ValueError(f"it is longer than {limit:,} bytes")
    if content.startswith(UTF16):
        raise ValueError("it is UTF-16; save it as UTF-8")
    return content.decode("utf-8-sig")


@contextlib.contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """Yield a temporary path in `path`'s folder; move it onto `path` if the block succeeds.

    Raises:
        OSError: it cannot be written; it names `path`, whatever the library that wrote said.
    """
    temporary = None
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        handle, name = tempfile.mkstemp(
            dir=path.parent, prefix=f".{path.stem}-", suffix=path.suffix
        )
        os.close(handle)
        temporary = Path(name)
        yield temporary
        with temporary.open("rb") as written:
            os.fsync(written.fileno())
        mask = os.umask(0)
        os.umask(mask)
        temporary.chmod(0o666 & ~mask)  # mkstemp's 0600 would outlive the move
        temporary.replace(path)
    except OSError as error:
        if error.filename is None or temporary is None or Path(error.filename) == temporary:
            reason = error.strerror or str(error)  # NumPy and polars give no number, and no name
            raise OSError(error.errno, reason, str(path)) from error
        raise
    finally:
        if temporary:
            temporary.unlink(missing_ok=True)


def write_text(path: Path, text: str) -> None:
    """Write `text` as UTF-8 with LF line ends, complete or not at all."""
    with replacing(path) as temporary:
        temporary.write_bytes(text.encode())


def write_json(path: Path, value: Any) -> None:
    """Write `value` as indented JSON, complete or not at all."""
    write_text(path, json.dumps(value, indent=2) + "\n")


def read_json(path: Path) -> Any:
    """Read a JSON file.

    Raises:
        UserError: it is missing or damaged.
    """
    try:
        return json.loads(read_text(path, JSON_LIMIT))
    except FileNotFoundError:
        raise UserError(f"{path} is missing; `dvc repro` makes it") from None
    except (ValueError, TypeError, OSError, RecursionError) as error:
        raise UserError(f"{path} is damaged ({error}); {AGAIN}") from None


def remove_unfinished(folder: Path, pattern: str = ".*-????????.*") -> None:
    """Remove the temporary files of a `replacing` that was killed.

    Whoever calls this holds a lock that says nobody else is writing such files there.
    """
    for file in folder.glob(pattern):
        file.unlink(missing_ok=True)


def remove_others(folder: Path, written: set[str]) -> None:
    """Remove from a stage's folder what an earlier run left there and this one did not write.

    DVC would delete the folder before the stage runs; it is told not to (`persist`), so that a
    stage that fails leaves what was there.
    """
    for file in folder.iterdir():
        if file.name not in written:
            file.unlink()


@contextlib.contextmanager
def temporary_folder(parent: Path, prefix: str) -> Iterator[Path]:
    """An empty folder for the block, its name beginning with `prefix`.

    What a killed process left under such a name is removed; see `remove_unfinished`.
    """
    parent.mkdir(parents=True, exist_ok=True)
    for left in parent.glob(f"{prefix}*"):
        shutil.rmtree(left, ignore_errors=True)
    with tempfile.TemporaryDirectory(dir=parent, prefix=prefix) as name:
        yield parent / Path(name).name  # since Python 3.12 the name is absolute


@contextlib.contextmanager
def refilling(folder: Path, prefix: str) -> Iterator[Path]:
    """A temporary folder whose files replace those of `folder`, if the block succeeds.

    It is beside `folder`, or in it where that is on another disk: a file moves within one only.
    """
    folder.mkdir(parents=True, exist_ok=True)
    beside = folder.stat().st_dev == folder.parent.stat().st_dev
    with temporary_folder(folder.parent if beside else folder, prefix) as made:
        yield made
        files = sorted(made.iterdir())
        remove_others(folder, {made.name, *(file.name for file in files)})
        for file in files:
            file.replace(folder / file.name)


def write_array(path: Path, array: np.ndarray) -> None:
    """Write one `.npy` file, complete or not at all."""
    with replacing(path) as temporary, temporary.open("wb") as file:
        np.save(file, array, allow_pickle=False)


def write_blocks(path: Path, shape: tuple[int, ...], blocks: Iterable[np.ndarray]) -> None:
    """Write a `.npy` file of uint8 in parts, one after the other, none of them kept in memory.

    Not by a map: on a full disk that ends the process.

    Raises:
        OSError: it cannot be written; it names `path`.
    """
    header = {"descr": "|u1", "fortran_order": False, "shape": shape}
    try:
        with path.open("wb") as file:
            np.lib.format.write_array_header_1_0(file, header)
            for block in blocks:
                file.write(np.ascontiguousarray(block).data)
    except OSError as error:
        raise OSError(error.errno, error.strerror or str(error), str(path)) from error


def read_array(path: Path) -> np.ndarray:
    """Map one `.npy` file into memory, read-only.

    Raises:
        UserError: it is missing, cut short or not a `.npy` file.
    """
    try:
        open_file(path).close()
        return np.load(path, mmap_mode="r", allow_pickle=False)
    except FileNotFoundError:
        raise UserError(f"{path} is missing; `dvc repro` makes it") from None
    except (ValueError, EOFError, OSError) as error:
        raise UserError(f"{path} is damaged ({error}); {AGAIN}") from None
