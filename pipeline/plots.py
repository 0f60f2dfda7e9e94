"""Pictures, each a PNG file, drawn without a screen."""

from collections.abc import Sequence
from pathlib import Path

import matplotlib

matplotlib.use("Agg")

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from pipeline.files import replacing


def save(figure: Figure, path: Path) -> None:
    """Write a figure as a PNG file, the same bytes for the same figure, and close it."""
    figure.set_layout_engine("constrained")
    with replacing(path) as temporary:
        # No software version inside: the same picture is the same file.
        figure.savefig(temporary, dpi=110, metadata={"Software": None})
    plt.close(figure)


def curves(history: pd.DataFrame, path: Path, title: str) -> None:
    """Loss and accuracy by epoch, training and validation: the mean over folds, and their range.

    Args:
        history: columns fold, epoch, loss, val_loss, accuracy, val_accuracy.
        path: where the picture goes.
        title: its title.
    """
    figure, axes = plt.subplots(1, 2, figsize=(10, 4))
    figure.suptitle(title)
    for axis, metric in zip(axes, ("loss", "accuracy"), strict=True):
        for column, label in ((metric, "training"), (f"val_{metric}", "validation")):
            by_epoch = history.groupby("epoch")[column]
            mean = by_epoch.mean()
            axis.plot(mean.index, mean, marker=".", label=label)
            axis.fill_between(mean.index, by_epoch.min(), by_epoch.max(), alpha=0.2)
        axis.set(xlabel="epoch", ylabel=metric)
        axis.grid(alpha=0.3)
        axis.legend()
    # What matters in accuracy is its last per cent; the first epoch would flatten it.
    last = history.groupby("epoch")["val_accuracy"].mean().iloc[-1]
    axes[1].set_ylim(1 - max(4 * (1 - last), 0.01), 1.0005)
    save(figure, path)


def confusion_matrix(counts: np.ndarray, path: Path, title: str) -> None:
    """A confusion matrix, (classes, classes), rows the true labels; colour shows the errors."""
    errors = counts - np.diag(np.diag(counts))
    figure, axis = plt.subplots(figsize=(6.5, 6))
    axis.imshow(errors, cmap="Reds", vmin=0, vmax=max(errors.max(), 1))
    for actual, predicted in np.ndindex(*counts.shape):
        value = counts[actual, predicted]
        colour = "grey" if not value or actual == predicted else "black"
        if errors[actual, predicted] > 0.6 * errors.max():
            colour = "white"
        axis.text(predicted, actual, f"{value:,}", ha="center", va="center", color=colour, size=8)
    ticks = range(len(counts))
    axis.set(xlabel="predicted", ylabel="actual", title=title, xticks=ticks, yticks=ticks)
    save(figure, path)


def images(pictures: np.ndarray, captions: Sequence[str], path: Path, title: str) -> None:
    """A grid of images, (count, height, width, channels) uint8, each with its caption."""
    across = 8
    down = max(1, -(-len(pictures) // across))
    figure, axes = plt.subplots(down, across, figsize=(across * 1.5, down * 1.8), squeeze=False)
    figure.suptitle(title)
    for axis in axes.flat:
        axis.axis("off")
    for axis, picture, caption in zip(axes.flat, pictures, captions, strict=False):
        axis.imshow(picture.squeeze(), cmap="gray_r", vmin=0, vmax=255)
        axis.set_title(caption, size=8)
    save(figure, path)


def sent(table: pd.DataFrame, path: Path) -> None:
    """CV with its interval and the public score of each submission, in the order they were sent.

    Args:
        table: columns time, cv_accuracy, cv_accuracy_low, cv_accuracy_high, public_score; a row a
            submission, NaN where a score is not known.
        path: where the picture goes.
    """
    figure, axis = plt.subplots(figsize=(8, 4))
    places = np.arange(len(table))
    axis.vlines(places, table["cv_accuracy_low"], table["cv_accuracy_high"], color="C0", alpha=0.4)
    axis.plot(places, table["cv_accuracy"], "o", color="C0", label="CV, 95% interval")
    axis.plot(places, table["public_score"], "D", color="C1", label="public score")
    axis.set_xticks(places, [time[5:16].replace("T", "\n") for time in table["time"]])
    axis.set(ylabel="accuracy", title="What was sent: cross-validation against the leaderboard")
    axis.grid(alpha=0.3)
    axis.legend()
    save(figure, path)
