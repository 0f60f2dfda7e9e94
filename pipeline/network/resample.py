"""Images read again at other positions, bilinearly: by an affine transform, or pixel by pixel."""

import numpy as np

from pipeline.base.hardware import tf


def resample(images: tf.Tensor, transforms: tf.Tensor, fill: str = "constant") -> tf.Tensor:
    """Read each image where `transforms`, float32 (batch, 6), say, bilinearly.

    Outside an image is 0, or as `fill` says in Keras's words: nearest, reflect or wrap.
    From a pixel of the result to where it is read, x first: x' = ax + by + c, y' = dx + ey + f.
    """
    zero = tf.zeros_like(transforms[:, :2])
    return tf.raw_ops.ImageProjectiveTransformV3(
        images=images,
        transforms=tf.concat([transforms, zero], axis=1),
        output_shape=images.shape[1:3],
        fill_value=0.0,
        interpolation="BILINEAR",
        fill_mode=fill.upper(),
    )


def warp(images: tf.Tensor, transforms: tf.Tensor, displacements: tf.Tensor) -> tf.Tensor:
    """Read each image at its affine positions moved by the displacements, bilinearly; outside is 0.

    Args:
        images: float32 (batch, height, width, channels).
        transforms: float32 (batch, 6), as `resample` takes them.
        displacements: float32 (2, batch, height, width), in pixels: x first, then y.
    """
    height, width, channels = images.shape[1:]
    a, b, c, d, e, f = (tf.reshape(part, (-1, 1, 1)) for part in tf.unstack(transforms, axis=1))
    rows, columns = (np.arange(size, dtype=np.float32) for size in (height, width))
    rows, columns = rows[:, None], columns[None, :]
    x = a * columns + b * rows + c + displacements[0]
    y = d * columns + e * rows + f + displacements[1]
    # One pixel of margin all round holds the 0 of everything outside.
    x = tf.clip_by_value(x + 1.0, 0.0, width + 0.999)
    y = tf.clip_by_value(y + 1.0, 0.0, height + 0.999)
    margin = tf.pad(images, [[0, 0], [1, 1], [1, 1], [0, 0]])
    flat = tf.reshape(margin, (-1, channels))
    left, top = tf.floor(x), tf.floor(y)
    stride = width + 2
    first = tf.range(tf.shape(images)[0])[:, None, None] * ((height + 2) * stride)
    corner = first + tf.cast(top, tf.int32) * stride + tf.cast(left, tf.int32)
    right, low = (x - left)[..., None], (y - top)[..., None]
    upper = tf.gather(flat, corner) * (1.0 - right) + tf.gather(flat, corner + 1) * right
    corner += stride
    lower = tf.gather(flat, corner) * (1.0 - right) + tf.gather(flat, corner + 1) * right
    return upper * (1.0 - low) + lower * low
