"""Files that are whole or not there: written beside, flushed, moved into place. Digests."""

import contextlib
import hashlib
import json
import os
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from pipeline.console import UserError

RAW = Path("data/raw")  # the competition's CSV files
ARRAYS = Path("data/arrays")  # the same, checked, as arrays
TRAINED = Path("experiments/train")  # a folder a recipe
BLENDED = Path("experiments/ensemble")
SUBMISSION = Path("submissions/submission.csv")
METRICS = Path("submissions/metrics.json")
# In `dvc exp run --temp` the working directory is a copy, and DVC_ROOT names the original. Local
# state is kept there: what one experiment finished, the others need not do again.
ROOT = Path(os.environ.get("DVC_ROOT", "."))
CACHE = ROOT / "experiments/cache"
DATABASE = ROOT / "experiments/mlflow.db"


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
            said = error.strerror or str(error)  # NumPy and polars give no number, and no name
            raise OSError(error.errno, said, str(path)) from error
        raise
    finally:
        if temporary:
            temporary.unlink(missing_ok=True)


def write_text(path: Path, text: str) -> None:
    """Write `text` as UTF-8 with LF line ends, whole or not at all."""
    with replacing(path) as temporary:
        temporary.write_bytes(text.encode())


def write_json(path: Path, value: Any) -> None:
    """Write `value` as indented JSON, whole or not at all."""
    write_text(path, json.dumps(value, indent=2) + "\n")


def read_json(path: Path) -> Any:
    """Read a JSON file.

    Raises:
        UserError: it is missing or damaged.
    """
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise UserError(f"{path} is missing; `dvc repro` makes it") from None
    except (ValueError, OSError) as error:
        raise UserError(f"{path} is damaged ({error}); delete it and run `dvc repro`") from None


def remove_unfinished(folder: Path, pattern: str = ".*-????????.*") -> None:
    """Remove what `replacing` was at in a folder when it was killed.

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


def write_array(path: Path, array: np.ndarray) -> None:
    """Write one `.npy` file, whole or not at all."""
    with replacing(path) as temporary, temporary.open("wb") as file:
        np.save(file, array, allow_pickle=False)


def read_array(path: Path) -> np.ndarray:
    """Map one `.npy` file into memory, read-only.

    Raises:
        UserError: it is missing, cut short or not a `.npy` file.
    """
    try:
        return np.load(path, mmap_mode="r", allow_pickle=False)
    except FileNotFoundError:
        raise UserError(f"{path} is missing; `dvc repro` makes it") from None
    except (ValueError, EOFError, OSError) as error:
        raise UserError(f"{path} is damaged ({error}); delete it and run `dvc repro`") from None


def sha256_file(path: Path) -> str:
    """The hex SHA-256 of a file's bytes."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def sha256_json(value: Any) -> str:
    """The hex SHA-256 of a value's canonical JSON, the same for the same settings everywhere."""
    text = json.dumps(value, sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(text.encode()).hexdigest()
