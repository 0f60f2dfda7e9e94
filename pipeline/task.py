"""A task, the training of one network on one fold, and all that decides what comes of it."""

import ast
import hashlib
from dataclasses import asdict, dataclass
from functools import cache, cached_property
from pathlib import Path

import numpy as np

from pipeline.console import UserError
from pipeline.files import ARRAYS, read_array, sha256_json
from pipeline.hardware import describe
from pipeline.inputs import network_inputs
from pipeline.recipe import Recipe
from pipeline.seeds import random_key

FILES = ("train_images", "train_labels", "test_images", "folds")
# What a network's weights depend on; everything else may change and they still stand.
CODE = (
    "augment",
    "batches",
    "callbacks",
    "canvas",
    "checkpoint",
    "compute",
    "convolution",
    "fit",
    "fused",
    "inputs",
    "models",
    "normalize",
    "seeds",
    "task",
)


@dataclass(frozen=True)
class Data:
    """Images, uint8 (rows, height, width, channels), the train rows' labels and folds (rows,)."""

    train_images: np.ndarray
    train_labels: np.ndarray
    test_images: np.ndarray
    folds: np.ndarray

    @cached_property
    def digests(self) -> dict[str, str]:
        """The SHA-256 of each array."""
        return {
            name: hashlib.sha256(np.ascontiguousarray(array).data).hexdigest()
            for name, array in vars(self).items()
            if isinstance(array, np.ndarray)
        }


@dataclass(frozen=True)
class Task:
    """Train `recipe` on all folds but `fold`; predict `fold`, and the test rows if `test`.

    A fold that no row is in: all rows are learned from.
    """

    name: str  # the recipe's; part of the random key
    recipe: Recipe
    classes: int
    epochs: int
    precision: str
    seed: int
    fold: int
    repeat: int = 0  # the same again with other random numbers
    rows: tuple[int, ...] | None = None  # train rows to work on, rising; None: all
    test: bool = True


def load_data() -> Data:
    """Map data/arrays into memory and check that its arrays belong together."""
    data = Data(*(read_array(ARRAYS / f"{name}.npy") for name in FILES))
    rows = {len(data.train_images), len(data.train_labels), len(data.folds)}
    if len(rows) != 1:
        raise UserError(f"{ARRAYS}: arrays of different lengths; run `dvc repro -f preprocess`")
    return data


@cache
def code_digests() -> dict[str, str]:
    """The SHA-256 of the code of each module that decides a network's weights."""
    return {name: code_digest(Path(__file__).with_name(f"{name}.py").read_text()) for name in CODE}


def code_digest(source: str) -> str:
    """The SHA-256 of Python source without comments, docstrings and layout."""
    tree = ast.parse(source)
    documented = ast.Module | ast.ClassDef | ast.FunctionDef
    for node in ast.walk(tree):
        if isinstance(node, documented) and ast.get_docstring(node):
            del node.body[0]
    return hashlib.sha256(ast.dump(tree).encode()).hexdigest()


def fingerprint(task: Task, data: Data) -> str:
    """The name of the task's folder in the cache."""
    aside = {"description", "published", "remark", "split", "search"}
    aside |= {"epochs"}  # task.epochs is what counts
    decides = asdict(task) | {"recipe": task.recipe.model_dump(exclude=aside)}
    decides |= {"data": data.digests, "code": code_digests(), "machine": describe()}
    return sha256_json(decides)[:24]


def split_rows(task: Task, data: Data) -> tuple[np.ndarray, np.ndarray]:
    """The positions of the rows to learn from, and of those held out."""
    rows = np.arange(len(data.folds)) if task.rows is None else np.array(task.rows)
    mine = data.folds[rows] == task.fold
    return rows[~mine], rows[mine]


def input_images(task: Task, data: Data, rows: np.ndarray | None = None) -> np.ndarray:
    """Some train rows' images, or all the test rows', as the network takes them."""
    images = data.test_images if rows is None else data.train_images
    key = random_key(task.seed, task.name, "canvas", "test" if rows is None else "train")
    chosen = np.arange(len(images)) if rows is None else rows
    return network_inputs(images, chosen, task.recipe, key)
