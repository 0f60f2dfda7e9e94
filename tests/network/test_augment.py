from typing import Any

import numpy as np
import pytest

from pipeline.base.hardware import tf
from pipeline.network.augment import augment, mixup, view
from pipeline.recipes.recipe import Augmentation
from support.project import digits

SEED = tf.constant([1, 2], tf.int64)


def augmented(images: np.ndarray, seed: tf.Tensor = SEED, **ranges: Any) -> np.ndarray:
    return augment(images.astype(np.float32), seed, Augmentation(**ranges)).numpy()


def test_no_range_changes_nothing() -> None:
    images = digits(4)[0]
    np.testing.assert_allclose(augmented(images), images, atol=1e-3)


@pytest.mark.parametrize(
    "ranges",
    [
        {"rotation_range": 20.0},
        {"shear_range": 20.0},
        {"zoom_range": 0.3},
        {"width_shift_range": 0.2},
        {"height_shift_range": 0.2},
        {"elastic_alpha": 60.0},
    ],
)
def test_each_range_changes_each_image_by_its_own_draw(ranges: dict[str, float]) -> None:
    image = digits(1)[0]
    twice = augmented(np.concatenate([image, image]), **ranges)
    assert np.abs(twice[0] - image[0]).max() > 10
    assert np.abs(twice[0] - twice[1]).max() > 10
    assert np.array_equal(twice, augmented(np.concatenate([image, image]), **ranges))
    assert not np.array_equal(twice, augmented(np.concatenate([image, image]), SEED + 1, **ranges))


def test_two_views_in_a_row_are_opposites_and_pairs_differ() -> None:
    images = digits(4)[0].astype(np.float32)
    ranges = Augmentation(rotation_range=20, width_shift_range=0.2)  # in a mirror their opposites

    def seen(number: int, images: np.ndarray) -> np.ndarray:
        return view(tf.constant(images), tf.constant(number, tf.int64), ranges).numpy()

    for first in (0, 2):
        mirrored = seen(first + 1, images[:, :, ::-1])[:, :, ::-1]
        np.testing.assert_allclose(seen(first, images), mirrored, atol=0.1)
        assert np.abs(seen(first, images) - seen(first + 1, images)).max() > 10
    assert np.abs(seen(0, images) - seen(2, images)).max() > 10


def test_a_shift_goes_no_further_than_its_range() -> None:
    point = np.zeros((200, 28, 28, 1))
    point[:, 14, 14] = 255
    shifted = augmented(point, width_shift_range=0.1)
    columns = shifted.sum(axis=(1, 3)).argmax(axis=1)
    assert set(columns) == set(range(11, 18))  # 2.8 pixels each way
    assert (shifted.sum(axis=(2, 3)).argmax(axis=1) == 14).all()


def test_elastic_distortion_of_no_strength_is_the_affine_change_alone() -> None:
    images = digits(30)[0]
    ranges = {"rotation_range": 10.0, "zoom_range": 0.1, "width_shift_range": 0.1}
    faint = augmented(images, elastic_alpha=1e-6, **ranges)
    np.testing.assert_allclose(faint, augmented(images, **ranges), atol=0.5)


def test_elastic_distortion_moves_neighbours_together() -> None:
    ramp = np.tile(np.arange(28.0) * 9, (50, 28, 1))[..., None]
    moved = (augmented(ramp, elastic_alpha=30.0) - ramp)[:, 6:22, 6:22, 0] / 9  # pixels, across
    assert 0.5 < moved.std() < 3
    assert np.corrcoef(moved[:, :, :-1].ravel(), moved[:, :, 1:].ravel())[0, 1] > 0.9
    assert abs(np.corrcoef(moved[:, :, 0].ravel(), moved[:, :, 15].ravel())[0, 1]) < 0.4


def test_flips_turn_about_half_of_the_images() -> None:
    images = digits(200)[0]
    for name, axis in (("horizontal_flip", 2), ("vertical_flip", 1)):
        changed = augmented(images, **{name: True})
        turned = np.isclose(changed, np.flip(images, axis), atol=1e-3).all(axis=(1, 2, 3))
        same = np.isclose(changed, images, atol=1e-3).all(axis=(1, 2, 3))
        assert (turned | same).all()
        assert 60 < turned.sum() < 140


def test_cutout_empties_one_square_of_an_image() -> None:
    images = np.full((50, 28, 28, 1), 100, np.uint8)
    emptied = (augmented(images, cutout=8) == 0).sum(axis=(1, 2, 3))
    assert emptied.max() <= 64
    assert emptied.min() >= 16  # a centre at a corner leaves a quarter inside
    assert len(np.unique(emptied)) > 3
    some = (augmented(images, cutout=8, cutout_share=0.3) == 0).any(axis=(1, 2, 3))
    assert 5 < some.sum() < 25


def test_a_hole_is_turned_with_the_image() -> None:
    images = np.full((50, 28, 28, 1), 100, np.uint8)
    turned = augmented(images, cutout=8, rotation_range=45, fill_mode="nearest")
    assert ((turned > 5) & (turned < 95)).any(axis=(1, 2, 3)).mean() > 0.5  # soft edges


@pytest.mark.parametrize(("mode", "value"), [("constant", 0.0), ("nearest", 100.0)])
def test_what_comes_from_outside_is_as_fill_mode_says(mode: str, value: float) -> None:
    images = np.full((50, 28, 28, 1), 100, np.uint8)
    changed = augmented(images, width_shift_range=0.3, fill_mode=mode)
    assert changed.min() == pytest.approx(value, abs=1e-3)


def test_mixup_mixes_images_and_labels_by_the_same_shares() -> None:
    images = tf.constant(np.arange(1, 5), tf.float32)[:, None, None, None] * tf.ones((4, 2, 2, 1))
    labels = tf.one_hot([0, 1, 2, 3], 4)
    mixed, shares = mixup(images, labels, SEED, 0.4)
    np.testing.assert_allclose(shares.numpy().sum(axis=1), 1.0, atol=1e-5)
    expected = shares.numpy() @ np.arange(1, 5)
    np.testing.assert_allclose(mixed.numpy()[:, 0, 0, 0], expected, atol=1e-5)
    assert (shares.numpy() > 0).sum() > 4
