"""Pictures, each a PNG file, drawn without a screen: the style, curves and grids of images."""

import io
from collections.abc import Sequence
from pathlib import Path

import matplotlib

matplotlib.use("Agg")

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.rcsetup import cycler
from PIL import Image

from pipeline.files import replacing

WIDTH = 7.0  # inches, of every picture: as wide as a page, still readable on a phone
GOOD, BAD, OTHER = "#2b6ca3", "#c8452f", "#7a7a7a"  # apart for the colour-blind too
plt.rc("font", size=9)
plt.rc("figure", titlesize=10)
plt.rc("axes", titlesize=10, grid=True, axisbelow=True)
plt.rc("axes", prop_cycle=cycler(color=[GOOD, BAD, "#3a923a", "#8a63b3", OTHER]))
plt.rc("axes.spines", top=False, right=False)
plt.rc("grid", alpha=0.3)
plt.rc("legend", frameon=False)


def figure(height: float, down: int = 1, across: int = 1) -> tuple[Figure, np.ndarray]:
    """An empty picture of `height` inches, and its axes, (down, across)."""
    return plt.subplots(down, across, figsize=(WIDTH, height), squeeze=False, layout="constrained")


def save(drawn: Figure, path: Path) -> None:
    """Write a picture, whole or not at all."""
    rendered = io.BytesIO()
    drawn.savefig(rendered, dpi=110)
    plt.close(drawn)
    with replacing(path) as temporary:
        # 128 colours look the same in a third of the bytes: the report holds every picture.
        Image.open(rendered).convert("RGB").quantize(128, dither=Image.Dither.NONE).save(
            temporary, optimize=True
        )


def curves(history: pd.DataFrame, path: Path, title: str) -> None:
    """Loss and accuracy by epoch, training and validation: the mean over folds, and their range.

    Args:
        history: columns fold, epoch, loss, val_loss, accuracy, val_accuracy.
        path: where the picture goes.
        title: its title.
    """
    drawn, axes = figure(3.4, across=2)
    drawn.suptitle(f"{title}: mean over folds; the band holds every fold")
    for axis, metric in zip(axes.flat, ("loss", "accuracy"), strict=True):
        for column, label in ((metric, "training"), (f"val_{metric}", "validation")):
            by_epoch = history.groupby("epoch")[column]
            mean = by_epoch.mean()
            axis.plot(mean.index, mean, marker=".", label=label)
            axis.fill_between(mean.index, by_epoch.min(), by_epoch.max(), alpha=0.25)
        axis.set(xlabel="epoch", ylabel=metric)
        axis.xaxis.get_major_locator().set_params(integer=True)
        axis.legend()
    # What matters in accuracy is its last per cent; the first epoch would flatten it.
    last = history.groupby("epoch")["val_accuracy"].mean().iloc[-1]
    axes[0, 1].set_ylim(max(0.0, 1 - max(4 * (1 - last), 0.01)), 1.0005)
    save(drawn, path)


def _show(axis: Axes, image: np.ndarray) -> None:
    """An image, uint8 (height, width, channels), dark on light if it has one channel."""
    coloured = image.shape[2] == 3
    pixels = image if coloured else image[..., 0]
    axis.imshow(pixels, cmap="gray_r", vmin=0, vmax=255, interpolation="nearest")
    axis.grid(False)
    axis.set(xticks=[], yticks=[])
    axis.spines[:].set(visible=True, color="0.85")


def images(
    pictures: np.ndarray, captions: Sequence[str], path: Path, title: str, across: int = 6
) -> None:
    """A grid of images, uint8 (count, height, width, channels), each under its caption."""
    down = max(1, -(-len(pictures) // across))
    lines = max((caption.count("\n") + 1 for caption in captions), default=1)
    drawn, axes = figure(0.4 + down * (WIDTH / across * 0.88 + 0.14 * lines), down, across)
    drawn.suptitle(title)
    for axis in axes.flat[len(pictures) :]:
        axis.axis("off")
    if not len(pictures):
        axes[0, 0].text(0, 0.5, "none")
    for axis, picture, caption in zip(axes.flat, pictures, captions, strict=False):
        _show(axis, picture)
        axis.set_title(caption, size=8, pad=2)
    save(drawn, path)


def mosaic(rows: dict[str, np.ndarray], path: Path, title: str) -> None:
    """Rows of images, side by side, each row with its name.

    Args:
        rows: a name to uint8 (count, height, width, channels); a short row ends in empty places.
        path: where the picture goes.
        title: its title.
    """
    across = max(map(len, rows.values()))
    height, width, channels = next(iter(rows.values())).shape[1:]
    empty = 255 if channels == 3 else 0
    sheet = np.full((len(rows) * height, across * width, channels), empty, np.uint8)
    for down, row in enumerate(rows.values()):
        for place, image in enumerate(row):
            sheet[down * height : (down + 1) * height, place * width : (place + 1) * width] = image
    drawn, axes = figure(0.5 + WIDTH * 0.9 * sheet.shape[0] / sheet.shape[1])
    axis = axes[0, 0]
    _show(axis, sheet)
    axis.spines[:].set_visible(False)
    axis.set_yticks((np.arange(len(rows)) + 0.5) * height - 0.5, list(rows))
    axis.tick_params(length=0)
    axis.set_title(title)
    save(drawn, path)


def sent(table: pd.DataFrame, path: Path) -> None:
    """CV with its interval and the public score of each submission, in the order they were sent.

    Args:
        table: columns time, cv_accuracy, cv_accuracy_low, cv_accuracy_high, public_score; a row a
            submission, NaN where a score is not known.
        path: where the picture goes.
    """
    drawn, axes = figure(3.5)
    axis, places = axes[0, 0], np.arange(len(table))
    axis.vlines(places, table["cv_accuracy_low"], table["cv_accuracy_high"], color=GOOD, alpha=0.4)
    axis.plot(places, table["cv_accuracy"], "o", color=GOOD, label="CV, 95% interval")
    axis.plot(places, table["public_score"], "D", color=BAD, label="public score")
    axis.set_xticks(places, [time[5:16].replace("T", "\n") for time in table["time"]])
    axis.set(ylabel="accuracy", title="What was sent: cross-validation against the leaderboard")
    axis.legend(loc="lower right")
    save(drawn, path)
