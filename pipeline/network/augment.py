"""Random changes of a batch of images, stateless: the same seed, the same draws."""

import math
from typing import Any

import numpy as np

from pipeline.base.hardware import tf
from pipeline.network.resample import resample, warp
from pipeline.recipes.recipe import Augmentation


def augment(images: tf.Tensor, seed: tf.Tensor, augmentation: Augmentation) -> tf.Tensor:
    """Change each image by its own draw, in one bilinear resampling.

    Args:
        images: float32, (batch, height, width, channels).
        seed: int64, (2,); the only source of randomness.
        augmentation: how far each change may go.

    Returns:
        float32, the shape of `images`; what comes from outside an image is as `fill_mode` says.
    """
    images = _flipped(images, seed, augmentation)
    draws = tf.random.stateless_uniform((6, tf.shape(images)[0]), seed, -1.0, 1.0)
    transforms = _affine(images.shape, draws, augmentation)
    if augmentation.cutout:  # first, so that its edges are as soft as what was drawn
        images = _cut_out(images, seed, augmentation)
    if augmentation.elastic_alpha:
        images = warp(images, transforms, _displacements(images, seed, augmentation))
    else:
        images = resample(images, transforms, augmentation.fill_mode)
    return _shone(images, seed, augmentation)


def mixup(images: tf.Tensor, labels: tf.Tensor, seed: tf.Tensor, alpha: float) -> Any:
    """Each image and its label mixed with another's of the batch (Zhang and others, 2018).

    The shares are drawn from Beta(alpha, alpha), one an image.

    Returns:
        float32 images and labels, of the shapes given.
    """
    batch = tf.shape(images)[0]
    one, other = (tf.random.stateless_gamma((batch,), seed + at, alpha) for at in (4, 5))
    share = one / tf.maximum(one + other, 1e-20)
    tall = tf.reshape(share, (-1, 1, 1, 1))
    mixed = tall * images + (1.0 - tall) * images[::-1]
    return mixed, share[:, None] * labels + (1.0 - share[:, None]) * labels[::-1]


def _flipped(images: tf.Tensor, seed: tf.Tensor, augmentation: Augmentation) -> tf.Tensor:
    """Half of the images flipped, each way that the recipe asks for."""
    ways = ((augmentation.horizontal_flip, 2), (augmentation.vertical_flip, 1))
    for wanted, axis in ways:
        if wanted:
            draws = tf.random.stateless_uniform((tf.shape(images)[0], 1, 1, 1), seed + 1 + axis)
            images = tf.where(draws < 0.5, tf.reverse(images, [axis]), images)
    return images


def _shone(images: tf.Tensor, seed: tf.Tensor, augmentation: Augmentation) -> tf.Tensor:
    """Each image brighter or darker, and with more or less contrast about its own mean."""
    shape = (2, tf.shape(images)[0], 1, 1, 1)
    draws = tf.random.stateless_uniform(shape, seed + 7, -1.0, 1.0)
    if augmentation.contrast_range:
        mean = tf.reduce_mean(images, axis=(1, 2, 3), keepdims=True)
        images = mean + (images - mean) * (1.0 + draws[0] * augmentation.contrast_range)
    if augmentation.brightness_range:
        images = images * (1.0 + draws[1] * augmentation.brightness_range)
    return images


def _cut_out(images: tf.Tensor, seed: tf.Tensor, augmentation: Augmentation) -> tf.Tensor:
    """A square emptied in a share of the images, its centre anywhere (DeVries, 2017)."""
    height, width, side = images.shape[1], images.shape[2], augmentation.cutout
    batch = tf.shape(images)[0]
    centre = tf.random.stateless_uniform((2, batch, 1), seed + 6)
    chosen = tf.random.stateless_uniform((batch, 1, 1), seed + 8) < augmentation.cutout_share
    inside = [
        tf.abs(tf.range(size, dtype=tf.float32)[None] + 0.5 - centre[axis] * size) < side / 2
        for axis, size in enumerate((height, width))
    ]
    square = inside[0][:, :, None] & inside[1][:, None, :] & chosen
    return tf.where(square[..., None], 0.0, images)


def view(images: tf.Tensor, number: tf.Tensor, augmentation: Augmentation) -> tf.Tensor:
    """All images changed in the same way, by the draw that `number`, int64, stands for.

    Two views in a row are opposites, one turned and shifted as far to the left as the other to the
    right, so that a pair's mean leans nowhere (antithetic draws; Hammersley and Morton, 1956).
    Nothing elastic. The prediction of an image does not depend on its neighbours in the batch.
    """
    seed = tf.stack([tf.constant(0, tf.int64), number // 2])
    draws = tf.random.stateless_uniform((6, 1), seed, -1.0, 1.0)
    draws = tf.where(number % 2 == 0, draws, -draws)
    transforms = _affine(images.shape, draws, augmentation)
    transforms = tf.repeat(transforms, tf.shape(images)[0], axis=0)
    return resample(images, transforms, augmentation.fill_mode)


def _affine(shape: tf.TensorShape, draws: tf.Tensor, augmentation: Augmentation) -> tf.Tensor:
    """Rotation, shear, zoom and shift of each image: float32 (batch, 6).

    `draws`, float32 (6, batch), are shares of the ranges, -1 to 1. A transform leads from a pixel
    of the result to where it is read in the image, x first: x' = ax + by + c, y' = dx + ey + f;
    rotation x shear x zoom about the centre, the order of Keras's ImageDataGenerator.
    """
    height, width = shape[1], shape[2]
    angle = draws[0] * math.radians(augmentation.rotation_range)
    shear = draws[1] * math.radians(augmentation.shear_range)
    zoom_x = 1.0 + draws[2] * augmentation.zoom_range
    zoom_y = 1.0 + draws[3] * augmentation.zoom_range
    shift_x = draws[4] * (augmentation.width_shift_range * width)
    shift_y = draws[5] * (augmentation.height_shift_range * height)
    xx = tf.cos(angle) * zoom_x
    xy = -tf.sin(angle + shear) * zoom_y
    yx = tf.sin(angle) * zoom_x
    yy = tf.cos(angle + shear) * zoom_y
    centre_x, centre_y = (width - 1) / 2, (height - 1) / 2
    x0 = centre_x + shift_x - xx * centre_x - xy * centre_y
    y0 = centre_y + shift_y - yx * centre_x - yy * centre_y
    return tf.stack([xx, xy, x0, yx, yy, y0], axis=1)


def _displacements(images: tf.Tensor, seed: tf.Tensor, augmentation: Augmentation) -> tf.Tensor:
    """Smooth random fields of elastic distortion, in pixels, float32 (2, batch, height, width).

    Uniform noise of -1 .. 1, blurred by a Gaussian of `elastic_sigma` pixels and multiplied by
    `elastic_alpha` (Simard, Steinkraus and Platt, 2003).
    """
    height, width = images.shape[1], images.shape[2]
    shape = (2, tf.shape(images)[0], height, width)
    noise = tf.random.stateless_uniform(shape, seed + 1, -1.0, 1.0)
    down, across = (_blur(size, augmentation.elastic_sigma) for size in (height, width))
    return tf.einsum("ij,xbjk,lk->xbil", down, noise, across * augmentation.elastic_alpha)


def _blur(size: int, sigma: float) -> np.ndarray:
    """A Gaussian blur of a line of `size` pixels, as a matrix; what lies outside counts as 0."""
    distance = np.arange(size)[:, None] - np.arange(size)
    weights = np.exp(-0.5 * (distance / sigma) ** 2)
    return (weights / weights[size // 2].sum()).astype(np.float32)
