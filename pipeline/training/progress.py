"""Progress of a recipe's training: one line an epoch."""

from statistics import mean

from pipeline.base.console import duration, say
from pipeline.network.checkpoint import Epoch
from pipeline.network.task import Task


def epoch_line(history: list[Epoch], epochs: int) -> str:
    """The last epoch of a training in words; `validation` is of held-out rows, if there are any."""
    row = history[-1]
    validation = f"  validation {row['val_accuracy']:.4f}" if "val_accuracy" in row else ""
    return (
        f"epoch {len(history):2}/{epochs}  loss {row['loss']:.4f}  accuracy {row['accuracy']:.4f}"
        f"{validation}  {row['seconds']:.1f} s"
    )


class Progress:
    """Prints one line an epoch: where the training is, how good it is so far, the time left."""

    def __init__(self, name: str, tasks: list[Task], at_once: int) -> None:
        self.name, self.tasks, self.at_once = name, tasks, at_once
        self.seconds: list[float] = []  # of each epoch
        self.reached: dict[int, int] = {}  # the last epoch of each task that has reported

    def __call__(self, task: Task, history: list[Epoch]) -> None:
        """Print the line of the epoch that has just ended."""
        position, row = self.tasks.index(task), history[-1]
        epochs = task.epochs * (2 if task.recipe.refit else 1)
        self.reached[position] = len(history)
        # Tasks start in order, several at a time: none after the last that reported has started.
        begun = [epochs - reached for reached in self.reached.values()]
        remaining = sum(begun) + (len(self.tasks) - max(self.reached) - 1) * epochs
        self.seconds.append(row["seconds"])
        left = max(*begun, remaining / self.at_once) * mean(self.seconds)
        network = f"{self.name}  {task.label}  network {position + 1}/{len(self.tasks)}"
        say(f"{network}  {epoch_line(history, epochs)}  left {duration(left)}")
