"""Pictures of the images themselves: grids with captions, and rows side by side."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from matplotlib.axes import Axes

from pipeline.evaluation.style import WIDTH, picture


def images(
    pictures: np.ndarray, captions: Sequence[str], path: Path, title: str, across: int = 6
) -> None:
    """A grid of images, uint8 (count, height, width, channels), each under its caption."""
    down = max(1, -(-len(pictures) // across))
    lines = max((caption.count("\n") + 1 for caption in captions), default=1)
    tall = 0.4 + down * (WIDTH / across * 0.88 + 0.14 * lines)
    with picture(path, tall, down, across) as (drawn, axes):
        drawn.suptitle(title)
        for axis in axes.flat[len(pictures) :]:
            axis.axis("off")
        if not len(pictures):
            axes[0, 0].text(0, 0.5, "none")
        for axis, image, caption in zip(axes.flat, pictures, captions, strict=False):
            _show(axis, image)
            axis.set_title(caption, size=8, pad=2)


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
    with picture(path, 0.5 + WIDTH * 0.9 * sheet.shape[0] / sheet.shape[1]) as (_, axes):
        axis = axes[0, 0]
        _show(axis, sheet)
        axis.spines[:].set_visible(False)
        axis.set_yticks((np.arange(len(rows)) + 0.5) * height - 0.5, list(rows))
        axis.tick_params(length=0)
        axis.set_title(title)


def _show(axis: Axes, image: np.ndarray) -> None:
    """An image, uint8 (height, width, channels), dark on light if it has one channel."""
    coloured = image.shape[2] == 3
    pixels = image if coloured else image[..., 0]
    axis.imshow(pixels, cmap="gray_r", vmin=0, vmax=255, interpolation="nearest")
    axis.grid(False)
    axis.set(xticks=[], yticks=[])
    axis.spines[:].set(visible=True, color="0.85")
