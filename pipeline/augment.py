"""Random affine changes of a batch of images, stateless: the same key and step, the same draws."""

import math

from pipeline.hardware import tf
from pipeline.recipe import Augmentation


def random_affine(images: tf.Tensor, seed: tf.Tensor, augmentation: Augmentation) -> tf.Tensor:
    """Rotate, shear, zoom and shift each image by its own draw, in one bilinear resampling.

    Args:
        images: float32, (batch, height, width, channels).
        seed: int64, (2,); the only source of randomness.
        augmentation: how far each change may go, each way, drawn uniformly.

    Returns:
        float32, the shape of `images`; what comes from outside an image is 0.
    """
    batch = tf.shape(images)[0]
    height, width = images.shape[1], images.shape[2]
    draws = tf.random.stateless_uniform((6, batch), seed, -1.0, 1.0)
    angle = draws[0] * math.radians(augmentation.rotation_range)
    shear = draws[1] * math.radians(augmentation.shear_range)
    zoom_x = 1.0 + draws[2] * augmentation.zoom_range
    zoom_y = 1.0 + draws[3] * augmentation.zoom_range
    shift_x = draws[4] * (augmentation.width_shift_range * width)
    shift_y = draws[5] * (augmentation.height_shift_range * height)
    # From a pixel of the result to where it is read in the image: rotation x shear x zoom,
    # about the centre, the order of Keras's ImageDataGenerator.
    xx = tf.cos(angle) * zoom_x
    xy = -tf.sin(angle + shear) * zoom_y
    yx = tf.sin(angle) * zoom_x
    yy = tf.cos(angle + shear) * zoom_y
    centre_x, centre_y = (width - 1) / 2, (height - 1) / 2
    x0 = centre_x + shift_x - xx * centre_x - xy * centre_y
    y0 = centre_y + shift_y - yx * centre_x - yy * centre_y
    zero = tf.zeros_like(x0)
    return tf.raw_ops.ImageProjectiveTransformV3(
        images=images,
        transforms=tf.stack([xx, xy, x0, yx, yy, y0, zero, zero], axis=1),
        output_shape=[height, width],
        fill_value=0.0,
        interpolation="BILINEAR",
        fill_mode="CONSTANT",
    )
