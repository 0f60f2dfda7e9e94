"""A recipe's folds at full length, as tasks, and a line of progress an epoch."""

from statistics import mean

import numpy as np

from pipeline.checkpoint import Epoch
from pipeline.compute import Result
from pipeline.config import Settings
from pipeline.console import duration, say
from pipeline.hardware import resolve_precision
from pipeline.recipe import Recipe
from pipeline.task import Task


def fold_tasks(
    settings: Settings, name: str, recipe: Recipe, repeats: int | None = None
) -> list[Task]:
    """The recipe's folds, each a task, `repeats` times; None: as often as `train.repeats` says."""
    return [
        Task(
            name=name,
            recipe=recipe,
            classes=settings.competition.classes,
            epochs=settings.train.epochs or recipe.epochs,
            precision=resolve_precision(settings.train.precision),
            seed=settings.seed,
            fold=fold,
            repeat=repeat,
        )
        for repeat in range(repeats or settings.train.repeats)
        for fold in range(settings.preprocess.folds)
    ]


def label(task: Task) -> str:
    """`fold 1`, or of a repeat `fold 1 repeat 2`."""
    return f"fold {task.fold + 1}" + (f" repeat {task.repeat + 1}" if task.repeat else "")


def right_rows(result: Result, labels: np.ndarray) -> np.ndarray:
    """The train rows that a fold's network labels right unseen; bool (rows,)."""
    right = np.zeros(len(labels), dtype=bool)
    right[result.held_out] = result.probabilities.argmax(axis=1) == labels[result.held_out]
    return right


class Progress:
    """A line an epoch: where the training is, how good it is so far, and the time left."""

    def __init__(self, name: str, tasks: list[Task], at_once: int) -> None:
        self.name, self.tasks, self.at_once = name, tasks, at_once
        self.seconds: list[float] = []  # of each epoch
        self.reached: dict[int, int] = {}  # the last epoch of each task that has been heard of

    def __call__(self, task: Task, history: list[Epoch]) -> None:
        """Print the line of the epoch that has just ended."""
        position, row = self.tasks.index(task), history[-1]
        epochs = task.epochs * (2 if task.recipe.refit else 1)
        self.reached[position] = len(history)
        # They are begun in order, several at a time: of those after the last one, none is.
        begun = [epochs - reached for reached in self.reached.values()]
        remaining = sum(begun) + (len(self.tasks) - max(self.reached) - 1) * epochs
        self.seconds.append(row["seconds"])
        left = max(*begun, remaining / self.at_once) * mean(self.seconds)
        say(
            f"{self.name}  {label(task)}  network {position + 1}/{len(self.tasks)}"
            f"  epoch {len(history):2}/{epochs}  loss {row['loss']:.4f}"
            f"  accuracy {row['accuracy']:.4f}  validation {row['val_accuracy']:.4f}"
            f"  {row['seconds']:.1f} s  left {duration(left)}"
        )
