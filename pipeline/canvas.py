"""Images placed once, each at its own random offset, on a larger empty canvas."""

import numpy as np

from pipeline.recipe import Canvas


def place(images: np.ndarray, rows: np.ndarray, canvas: Canvas | None, key: int) -> np.ndarray:
    """Place some images on the canvas; a row is at the same place whichever rows are asked for.

    Args:
        images: uint8 (all rows, height, width, channels).
        rows: positions in `images`, int (rows,).
        canvas: its size; None gives the images as they are.
        key: of the random offsets, 0 or more.

    Returns:
        uint8 (rows, canvas height, canvas width, channels).

    Raises:
        ValueError: the canvas is smaller than the images.
    """
    if canvas is None:
        return images[rows]
    height, width, channels = images.shape[1:]
    free = np.array([canvas.height - height, canvas.width - width])
    if free.min() < 0:
        raise ValueError(f"a canvas of {canvas.height} x {canvas.width} is too small")
    # From 0 to one less than what is free, as numpy's randint draws it and as was published.
    offsets = np.random.default_rng(key).integers(0, np.maximum(free, 1), (len(images), 2))[rows]
    placed = np.zeros((len(rows), canvas.height, canvas.width, channels), images.dtype)
    for position, (top, left) in enumerate(offsets):
        image = images[rows[position]]
        placed[position, top : top + height, left : left + width] = image
    return placed
