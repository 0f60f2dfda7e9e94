"""Each image brought into a standard form by itself: slant taken out, stretched to one size.

Networks that see the same digits in different forms err on different digits, which a blend gains
from (Ciresan, Meier and Schmidhuber, 2012); how much, experiments/notes.md tells.
"""

import numpy as np

from pipeline.augment import resample
from pipeline.hardware import tf
from pipeline.recipe import Normalize

INK = 40  # a pixel above this belongs to the digit's box, not to the blur around it
STEEPEST = 2.0  # columns a row; no written digit leans as much, but a flat stroke would be torn
CHUNK = 2000  # images at a time, for memory


def normalize(images: np.ndarray, how: Normalize | None) -> np.ndarray:
    """Shear each image until its mass stands upright; stretch its box to a height and a width.

    Args:
        images: uint8 (rows, height, width, channels), dark where there is nothing.
        how: which of the two, and to what size; None gives the images as they are.

    Returns:
        uint8, the shape of `images`: by one bilinear resampling, the box (without one, the mass) in
        the middle. What comes of an image does not depend on the others.
    """
    if how is None:
        return images
    normalized = np.empty_like(images)
    for start in range(0, len(images), CHUNK):
        chunk = images[start : start + CHUNK]
        pixels = tf.constant(chunk, tf.float32)
        moved = resample(pixels, tf.constant(_transforms(chunk, how), tf.float32)).numpy()
        normalized[start : start + CHUNK] = np.rint(np.clip(moved, 0, 255))
    return normalized


def _transforms(images: np.ndarray, how: Normalize) -> np.ndarray:
    """Where each pixel of the result is read: float64 (rows, 6), as `resample` takes them."""
    weights = images.sum(axis=3, dtype=np.float64)
    height, width = weights.shape[1:]
    rows, columns = np.mgrid[:height, :width].astype(np.float64)
    middle_y, middle_x = (height - 1) / 2, (width - 1) / 2
    mass = weights.sum(axis=(1, 2))
    there = mass > 0

    def mean(values: np.ndarray, otherwise: float) -> np.ndarray:
        total = (weights * values).sum(axis=(1, 2))
        return np.divide(total, mass, out=np.full(len(mass), otherwise), where=there)

    y, x = mean(rows, middle_y), mean(columns, middle_x)
    below = rows - y[:, None, None]
    right = columns - x[:, None, None]
    slant = np.zeros(len(mass))
    if how.deskew:
        spread = mean(below**2, 0.0)
        np.divide(mean(below * right, 0.0), spread, out=slant, where=spread > 1e-3)
        np.clip(slant, -STEEPEST, STEEPEST, out=slant)
    right = right - slant[:, None, None] * below
    ink = images.max(axis=3) > INK
    top, tall = _box(below, ink, how.height)
    left, wide = _box(right, ink, how.width)
    # x' = ax + by + c, y' = ey + f: stretched about the middle, sheared, moved to its place.
    c = left + slant * top + x - wide * middle_x - slant * tall * middle_y
    f = top + y - tall * middle_y
    return np.stack([wide, slant * tall, c, np.zeros(len(mass)), tall, f], axis=1)


def _box(position: np.ndarray, ink: np.ndarray, size: int | None) -> tuple[np.ndarray, np.ndarray]:
    """The middle of each image's ink along one axis, and how far to step there for `size` pixels.

    What is less than half as long keeps its length: a 1 is not to become a block.
    """
    there = np.any(ink, axis=(1, 2))
    if size is None:
        return np.zeros(len(ink)), np.ones(len(ink))
    first = np.where(there, np.where(ink, position, np.inf).min(axis=(1, 2)), 0.0)
    last = np.where(there, np.where(ink, position, -np.inf).max(axis=(1, 2)), 0.0)
    length = last - first + 1
    return (first + last) / 2, np.where(length < size / 2, 1.0, length / size)
