"""Progress of a training: one live line (without a terminal one now and then), and its results."""

import json
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from statistics import mean

from rich.progress import BarColumn, TaskProgressColumn, TextColumn
from rich.progress import Progress as Bar

from pipeline.base.console import console, duration, say
from pipeline.base.paths import PLAN
from pipeline.network.checkpoint import Epoch
from pipeline.network.task import Task
from pipeline.training.speed import OF_TRAINING

# Seconds between lines where there is no terminal.
EVERY = 0.0 if os.environ.get("PIPELINE_EVERY_EPOCH") else 20.0


def epoch_line(history: list[Epoch], epochs: int) -> str:
    """The last epoch of a training in words; `held-out` is of rows that it does not learn from."""
    row = history[-1]
    held_out = f"  held-out {row['val_accuracy']:.4f}" if "val_accuracy" in row else ""
    return (
        f"epoch {len(history):2}/{epochs}  accuracy {row['accuracy']:.4f}"
        f"{held_out}  {row['seconds']:.1f} s"
    )


def later_seconds(stage: str) -> float:
    """What the plan of this run says that the stages after this one take."""
    try:
        planned = json.loads(PLAN.read_text())
        names = list(planned)
        return float(sum(planned[name] for name in names[names.index(stage) + 1 :]))
    except (OSError, ValueError, TypeError, AttributeError):
        return 0.0


class Progress:
    """Where the training of some networks is, how good they are so far, and the time left.

    Args:
        name: the recipe's.
        networks: how many there are.
        epochs: of each.
        at_once: how many are trained at a time.
        learned: the images that an epoch of a network learns from.
        predicted: the rows that a network predicts after its last epoch, each as often as it
            has views.
        later: seconds of the work after this one.
    """

    def __init__(
        self,
        name: str,
        networks: int,
        epochs: int,
        at_once: int,
        learned: int,
        predicted: int = 0,
        later: float = 0.0,
    ) -> None:
        self.name, self.networks, self.epochs = name, networks, epochs
        self.at_once, self.later = at_once, later
        self.seconds: list[float] = []  # of each epoch
        self.after = predicted * OF_TRAINING / max(1, learned)  # prediction, counted in epochs
        self.reached: dict[str, float] = {}  # the epochs of each network that has begun
        self.ended, self.wrong, self.rows = 0, 0, 0
        columns = BarColumn(8), TaskProgressColumn(), TextColumn("{task.description}")
        self.bar = Bar(*columns, console=console, transient=True, disable=not console.is_terminal)
        self.line = self.bar.add_task(f"{self.name}: starting", total=1.0)
        self.said = time.monotonic()

    @contextmanager
    def shown(self) -> Iterator["Progress"]:
        """Show the live line for the block."""
        with self.bar:
            yield self

    def __call__(self, task: Task, history: list[Epoch]) -> None:
        """Note that an epoch of a task's network has ended."""
        self.epoch(task.label, task, history)

    def epoch(self, what: str, _task: Task, history: list[Epoch]) -> None:
        """Note that an epoch of the network `what`, such as `trial 3 fold 2`, has ended."""
        self.reached[what] = len(history)
        self.seconds.append(history[-1]["seconds"])
        done, left = self._done_and_left()
        text = f"left {duration(left)}"
        if self.later:
            text += f", all stages {duration(left + self.later)}"
        text += f"  {self.name} {what}  {epoch_line(history, self.epochs)}"
        self.bar.update(self.line, description=text, completed=done)
        if not console.is_terminal and time.monotonic() - self.said >= EVERY:
            say(text)
            self.said = time.monotonic()

    def skip(self, task: Task) -> None:
        """Note that a task's network is in the cache."""
        self.reached[task.label] = self.epochs + self.after

    def finished(self, task: Task, wrong: int, rows: int, score: str = "") -> None:
        """Say what a network that has ended scored on its held-out rows.

        `score` is that in the competition's metric, in words, if it is not the accuracy.
        """
        self.skip(task)
        self.ended, self.wrong, self.rows = self.ended + 1, self.wrong + wrong, self.rows + rows
        so_far = ""
        if self.ended > 1:
            so_far = f"; so far {1 - self.wrong / self.rows:.5f}, {self.wrong:,} of {self.rows:,}"
        say(
            f"{self.name} {task.label} of {self.networks}: {score}accuracy {1 - wrong / rows:.5f}, "
            f"{wrong:,} errors of {rows:,} held-out rows{so_far}"
        )

    def _done_and_left(self) -> tuple[float, float]:
        """The share that is done, and the seconds left."""
        each = self.epochs + self.after
        begun = [each - reached for reached in self.reached.values()]
        remaining = sum(begun) + (self.networks - len(begun)) * each
        left = max(*begun, remaining / self.at_once) * mean(self.seconds)
        return 1 - remaining / (self.networks * each), left
