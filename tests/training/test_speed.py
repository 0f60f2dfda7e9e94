"""`auto` takes the precision that this machine was measured to be faster in, always the same."""

from pathlib import Path

import pytest

from pipeline.base import hardware
from pipeline.base.files import write_json
from pipeline.recipes.files import load_recipe
from pipeline.training import speed
from pipeline.training.speed import (
    faster_precision,
    images_per_second,
    resolve_precision,
    speed_file,
)

SHAPE = (28, 28, 1)


@pytest.mark.parametrize(
    ("speeds", "taken"),
    [
        ({"float32": 2400.0, "mixed_bfloat16": 1600.0}, "float32"),
        ({"float32": 2400.0, "mixed_bfloat16": 2600.0}, "float32"),  # not by a tenth
        ({"float32": 2400.0, "mixed_bfloat16": 2700.0}, "mixed_bfloat16"),
        ({"float32": 2400.0}, "float32"),
    ],
)
def test_the_faster_precision_is_taken_if_it_is_a_tenth_faster(
    speeds: dict[str, float], taken: str
) -> None:
    assert faster_precision(speeds) == taken


def test_what_was_measured_is_kept_and_decides(
    project: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(hardware, "has_gpu", lambda: False)
    monkeypatch.setattr(hardware, "has_bfloat16", lambda: True)
    recipe, measured = load_recipe("tiny"), []

    def measure(*arguments: object) -> dict[str, float]:
        measured.append(arguments)
        return {"float32": 100.0, "mixed_bfloat16": 200.0}

    monkeypatch.setattr(speed, "measure", measure)
    for _ in range(2):
        assert resolve_precision("auto", recipe, SHAPE, 10) == "mixed_bfloat16"
    assert len(measured) == 1
    path = speed_file(recipe, SHAPE, 10)
    write_json(path, {"float32": 300.0, "mixed_bfloat16": 200.0})
    assert resolve_precision("auto", recipe, SHAPE, 10) == "float32"
    path.write_text("damaged")
    assert resolve_precision("auto", recipe, SHAPE, 10) == "mixed_bfloat16"  # measured again
    assert resolve_precision("mixed_float16", recipe, SHAPE, 10) == "mixed_float16"
    tuned = [*recipe.layers[:4], {"Dropout": {"rate": 0.4}}]
    assert speed_file(recipe.model_copy(update={"layers": tuned}), SHAPE, 10) == path
    assert speed_file(recipe.model_copy(update={"batch_size": 64}), SHAPE, 10) != path


def test_a_processor_without_bfloat16_is_not_measured(
    project: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(hardware, "has_gpu", lambda: False)
    monkeypatch.setattr(hardware, "processor", lambda: {"flags": "sse4 avx2"})
    assert resolve_precision("auto", load_recipe("tiny"), SHAPE, 10) == "float32"
    assert not Path("experiments/cache/speed").exists()


def test_real_steps_are_timed_in_each_precision(project: Path) -> None:
    found = speed.measure(load_recipe("tiny"), SHAPE, 10, ["float32", "mixed_bfloat16"])
    assert set(found) == {"float32", "mixed_bfloat16"}
    assert min(found.values()) > 10
    assert images_per_second(load_recipe("tiny"), SHAPE, 10)["float32"] > 10
