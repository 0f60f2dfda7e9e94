"""A task: the training of one network on one fold."""

from dataclasses import dataclass

import numpy as np

from pipeline.data.arrays import Data
from pipeline.network.inputs import Inputs
from pipeline.network.seeds import random_key
from pipeline.network.way import Way
from pipeline.recipes.recipe import Recipe


@dataclass(frozen=True)
class Task:
    """Train `recipe` on all folds but `fold`; predict `fold`, and the test rows if `test`.

    With a fold that has no rows, all rows are learned from.
    """

    name: str  # the recipe's; part of the random key
    recipe: Recipe
    classes: int
    epochs: int
    way: Way
    seed: int
    fold: int
    repeat: int = 0  # the same again with other random numbers
    rows: tuple[int, ...] | None = None  # train rows to work on, rising; None: all
    test: bool = True

    @property
    def label(self) -> str:
        """`fold 1`, or of a repeat `fold 1 repeat 2`."""
        return f"fold {self.fold + 1}" + (f" repeat {self.repeat + 1}" if self.repeat else "")

    def split(self, folds: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """The positions of the rows to learn from and of those held out, int (rows,) each."""
        rows = np.arange(len(folds)) if self.rows is None else np.array(self.rows)
        mine = folds[rows] == self.fold
        return rows[~mine], rows[mine]

    def images(self, data: Data, rows: np.ndarray | None = None) -> Inputs:
        """The images of some train rows, or of all test rows, as the network takes them."""
        images = data.test_images if rows is None else data.train_images
        which = "test" if rows is None else "train"
        key = random_key(self.seed, self.name, "canvas", which)
        chosen = np.arange(len(images)) if rows is None else rows
        return Inputs.of(images, chosen, self.recipe, key)
