"""data/arrays: the rows as arrays, as preprocess writes them and training reads them."""

import hashlib
import mmap
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from pipeline.base.errors import UserError
from pipeline.base.files import read_array, read_json, write_blocks
from pipeline.base.paths import ARRAYS

NAMES = ("train_images", "train_labels", "test_images", "folds")
CLASSES = ARRAYS / "classes.json"  # their names, in order
DIGITS = tuple("0123456789")  # of the embedded digits
BLOCK = 1 << 24  # bytes that are read at a time


@dataclass(frozen=True)
class Data:
    """Images, uint8 (rows, height, width, channels), the train rows' labels and folds (rows,).

    `classes` are the names that the labels, 0 and up, stand for.
    """

    train_images: np.ndarray
    train_labels: np.ndarray
    test_images: np.ndarray
    folds: np.ndarray
    classes: tuple[str, ...]

    def __reduce__(self) -> tuple[Any, ...]:
        """To another process go the paths of maps, not what they hold."""
        arrays = [getattr(self, name) for name in NAMES]
        files = (each if (file := _file_of(each)) is None else file for each in arrays)
        return _restored, (self.classes, *files), {"digests": self.digests}

    def in_memory(self) -> "Data":
        """The same with arrays in memory instead of maps of files, for another machine."""
        arrays = {name: np.array(getattr(self, name)) for name in NAMES}
        return Data(**arrays, classes=self.classes)

    @cached_property
    def digests(self) -> dict[str, str]:
        """The SHA-256 of each array."""
        return {name: sha256_array(getattr(self, name)) for name in NAMES}


def _file_of(array: np.ndarray) -> Path | None:
    """The file that an array is the whole of; None of one in memory, or of a part of a file."""
    whole = isinstance(array, np.memmap) and isinstance(array.base, mmap.mmap)
    return Path(str(array.filename)) if whole else None  # type: ignore[attr-defined]


def _restored(classes: tuple[str, ...], *arrays: Any) -> Data:
    opened = (read_array(each) if isinstance(each, Path) else each for each in arrays)
    train_images, train_labels, test_images, folds = opened
    return Data(train_images, train_labels, test_images, folds, classes)


def sha256_array(array: np.ndarray) -> str:
    """The SHA-256 of an array's values, of which few are in memory at a time."""
    digest = hashlib.sha256()
    for part in _parts(array):
        digest.update(np.ascontiguousarray(array[part]).data)
    return digest.hexdigest()


def write_rows(path: Path, array: np.ndarray, rows: np.ndarray) -> None:
    """Write some rows of a uint8 array, by position, as a `.npy` file; see `write_blocks`."""
    blocks = (array[rows[part]] for part in _parts(array, len(rows)))
    write_blocks(path, (len(rows), *array.shape[1:]), blocks)


def _parts(array: np.ndarray, count: int | None = None) -> Iterator[slice]:
    """So many rows of an array, or all, by parts of few bytes."""
    step = max(1, BLOCK // max(1, array[:1].nbytes))
    for start in range(0, len(array) if count is None else count, step):
        yield slice(start, start + step)


def known_classes(folder: Path = Path()) -> tuple[str, ...]:
    """The classes' names, also before there are arrays: those of digits, until others are known.

    Args:
        folder: of the project, or of an experiment.
    """
    path = folder / CLASSES
    return tuple(read_json(path)) if path.exists() else DIGITS


def load_data() -> Data:
    """Map data/arrays into memory.

    Raises:
        UserError: an array is missing or damaged, or they have different lengths.
    """
    data = _restored(known_classes(), *(ARRAYS / f"{name}.npy" for name in NAMES))
    if len({len(data.train_images), len(data.train_labels), len(data.folds)}) != 1:
        raise UserError(f"{ARRAYS}: arrays of different lengths; run `dvc repro -f preprocess`")
    return data


def train_rows(count: int) -> np.ndarray:
    """Which row of train.csv each train image is, from 1, int (rows,); a slice's have gaps.

    Raises:
        UserError: they are not `count`: the arrays are of another run.
    """
    path = ARRAYS / "rows.npy"
    rows = read_array(path) if path.exists() else np.arange(1, count + 1)
    if len(rows) != count:
        raise UserError(f"{ARRAYS} has {len(rows):,} rows, the run {count:,}; run `make repro`")
    return rows
