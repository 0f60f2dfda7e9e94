import dataclasses
import json
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from pipeline.base.settings import load_settings
from pipeline.data.arrays import load_data
from pipeline.network.inputs import normalized
from pipeline.network.task import Task
from pipeline.network.way import OURS
from pipeline.recipes.files import load_recipe
from pipeline.recipes.recipe import Normalize
from pipeline.tracking.blend_model import Blend
from pipeline.tracking.model_plan import member, plan
from pipeline.training.cache import run_tasks


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
    images = np.stack([stroke(slant) for slant in (0.5, -0.3, 0.0, 1.5)])
    upright = normalized(images, Normalize(deskew=True))
    assert [abs(covariance(each)) < 0.5 for each in upright] == [True] * 4
    assert abs(covariance(images[0])) > 5


def test_a_flat_stroke_is_not_torn() -> None:
    dash = np.zeros((1, 28, 28, 1), np.uint8)
    dash[0, 13, 4:14] = dash[0, 14, 14:24] = 255  # ten columns a row
    (moved,) = normalized(dash, Normalize(deskew=True))
    assert box(moved)[1] >= 17
    assert moved.sum() > 0.8 * dash.sum()


def test_a_box_is_stretched_to_its_size_and_put_in_the_middle() -> None:
    image = np.zeros((1, 28, 28, 1), np.uint8)
    image[0, 2:12, 3:15] = 255
    (stretched,) = normalized(image, Normalize(height=20, width=16))
    assert np.abs(np.subtract(box(stretched), (20, 16))).max() <= 2  # the blur of its edges
    rows, columns = np.nonzero(stretched[..., 0] > 40)
    assert abs(rows.mean() - 13.5) < 0.6
    assert abs(columns.mean() - 13.5) < 0.6


def test_what_is_thin_stays_thin() -> None:
    (one,) = normalized(stroke(0.0)[None], Normalize(height=20, width=16))
    assert box(one)[1] <= 4
    assert abs(box(one)[0] - 20) <= 1


def test_an_image_does_not_depend_on_the_others_and_an_empty_one_stays_empty(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    images = np.stack([stroke(0.4), np.zeros((28, 28, 1), np.uint8), stroke(-0.2)])
    how = Normalize(deskew=True, height=20, width=16)
    together = normalized(images, how)
    assert np.array_equal(normalized(images[2:], how), together[2:])
    monkeypatch.setattr("pipeline.network.inputs.CHUNK", 2)
    assert np.array_equal(normalized(images, how), together)
    assert not together[1].any()
    assert together.dtype == np.uint8


def test_it_is_learned_from_and_asked_in_its_form_by_the_logged_model_too(arrays: Path) -> None:
    how = Normalize(deskew=True, height=18)
    recipe = load_recipe("tiny").model_copy(update={"normalize": how})
    task, data = Task("tiny", recipe, 10, 1, OURS, 0, 0), load_data()
    rows = np.array([3, 90])
    assert np.array_equal(task.images(data, rows)[:], normalized(data.train_images[rows], how))
    (plain, other) = run_tasks([dataclasses.replace(task, recipe=load_recipe("tiny")), task], data)
    assert not np.allclose(plain.probabilities, other.probabilities)
    settings = load_settings()
    whole = plan(
        settings, [member(settings, "tiny", recipe, ["net"])], data.test_images[:1], data.classes
    )
    Path("plan.json").write_text(json.dumps(whole))
    served = Blend()
    served.load_context(SimpleNamespace(artifacts={"plan": "plan.json", "net": other.model}))
    predicted = served.predict(data.test_images)
    np.testing.assert_allclose(predicted, other.test_probabilities, atol=1e-6)


def test_other_shapes_colours_and_faint_images_are_taken_too() -> None:
    colours = np.zeros((2, 20, 32, 3), np.uint8)
    colours[0, 4:14, 6:10, 1] = 200
    colours[1, 8, 8] = 20  # no ink, only a shadow
    moved = normalized(colours, Normalize(deskew=True, height=16))
    assert moved.shape == colours.shape
    assert not moved[0, ..., [0, 2]].any()
    assert moved[1].max() <= 20


def test_a_form_that_changes_nothing_is_an_error() -> None:
    with pytest.raises(ValueError, match="give at least one of deskew, height and width"):
        Normalize()
