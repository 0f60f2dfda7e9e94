import numpy as np

from pipeline.normalize import normalize
from pipeline.recipe import Normalize


def stroke(slant: float, height: int = 14) -> np.ndarray:
    """A thick stroke that goes `slant` pixels to the right for each one down."""
    image = np.zeros((28, 28, 1), np.uint8)
    for row in range(height):
        left = round(13 + slant * (row - height / 2))
        image[5 + row, left - 1 : left + 2] = 255
    return image


def covariance(image: np.ndarray) -> float:
    rows, columns = np.mgrid[:28, :28]
    return float(np.cov(rows.ravel(), columns.ravel(), aweights=image[..., 0].ravel() + 1e-9)[0, 1])


def box(image: np.ndarray) -> tuple[int, int]:
    ink = image[..., 0] > 40
    rows, columns = np.flatnonzero(ink.any(axis=1)), np.flatnonzero(ink.any(axis=0))
    return int(np.ptp(rows)) + 1, int(np.ptp(columns)) + 1


def test_a_slanted_stroke_stands_upright() -> None:
    images = np.stack([stroke(0.5), stroke(-0.3), stroke(0.0)])
    upright = normalize(images, Normalize(deskew=True))
    assert [abs(covariance(each)) < 0.5 for each in upright] == [True] * 3
    assert abs(covariance(images[0])) > 5


def test_a_box_is_stretched_to_its_size_and_put_in_the_middle() -> None:
    image = np.zeros((1, 28, 28, 1), np.uint8)
    image[0, 2:12, 3:15] = 255
    (stretched,) = normalize(image, Normalize(height=20, width=16))
    assert np.abs(np.subtract(box(stretched), (20, 16))).max() <= 2  # the blur of its edges
    rows, columns = np.nonzero(stretched[..., 0] > 40)
    assert abs(rows.mean() - 13.5) < 0.6
    assert abs(columns.mean() - 13.5) < 0.6


def test_what_is_thin_stays_thin() -> None:
    (one,) = normalize(stroke(0.0)[None], Normalize(height=20, width=16))
    assert box(one)[1] <= 4
    assert abs(box(one)[0] - 20) <= 1


def test_an_image_does_not_depend_on_the_others_and_an_empty_one_stays_empty() -> None:
    images = np.stack([stroke(0.4), np.zeros((28, 28, 1), np.uint8), stroke(-0.2)])
    how = Normalize(deskew=True, height=20, width=16)
    together = normalize(images, how)
    assert np.array_equal(normalize(images[2:], how), together[2:])
    assert not together[1].any()
    assert together.dtype == np.uint8
    assert np.array_equal(normalize(images, None), images)
