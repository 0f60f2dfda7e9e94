"""`auto` takes the way that this machine was measured to be fastest in, always the same."""

from pathlib import Path

import pytest

from pipeline.base import hardware
from pipeline.base.files import read_json, write_json
from pipeline.network.way import OURS, PLAIN, Way
from pipeline.recipes.files import load_recipe
from pipeline.training import machine, speed
from pipeline.training.speed import WAYS, fastest, in_words, resolve_way, speed_file

SHAPE = (28, 28, 1)
HALF = Way("mixed_bfloat16", "faster")


@pytest.mark.parametrize(
    ("ours", "half", "taken"),
    [
        (1.5, 1.0, OURS),
        (1.5, 1.6, HALF),
        (0.8, 1.09, PLAIN),  # not by a tenth
        (1.05, 0.5, PLAIN),
        (0.8, 1.1, HALF),
    ],
)
def test_the_fastest_way_is_taken_if_it_is_a_tenth_faster_than_the_plain_one(
    ours: float, half: float, taken: Way
) -> None:
    assert fastest({PLAIN: 1000.0, OURS: 1000 * ours, HALF: 1000 * half}) == taken
    assert fastest({PLAIN: 1000.0}) == PLAIN


def test_what_was_measured_is_kept_and_decides(
    project: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(machine, "has_gpu", lambda: False)
    monkeypatch.setattr(machine, "has_bfloat16", lambda: True)
    recipe, measured = load_recipe("tiny"), []

    def measure(*arguments: object) -> dict[Way, float]:
        measured.append(arguments)
        return {PLAIN: 100.0, HALF: 200.0}

    monkeypatch.setattr(speed, "measure", measure)
    for _ in range(2):
        assert resolve_way("auto", recipe, SHAPE, 10) == HALF
    assert len(measured) == 1
    path = speed_file(recipe, SHAPE, 10)
    assert read_json(path) == {"float32 keras": 100.0, "mixed_bfloat16 faster": 200.0}
    write_json(path, {"float32 keras": 300.0, "mixed_bfloat16 faster": 200.0})
    assert resolve_way("auto", recipe, SHAPE, 10) == PLAIN
    path.write_text("damaged")
    assert resolve_way("auto", recipe, SHAPE, 10) == HALF  # measured again
    assert resolve_way("mixed_float16", recipe, SHAPE, 10) == Way("mixed_float16", "faster")
    tuned = [*recipe.layers[:4], {"Dropout": {"rate": 0.4}}]
    assert speed_file(recipe.model_copy(update={"layers": tuned}), SHAPE, 10) == path
    assert speed_file(recipe.model_copy(update={"batch_size": 64}), SHAPE, 10) != path


def test_a_processor_without_bfloat16_is_measured_in_float32_alone(
    project: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(hardware, "has_gpu", lambda: False)
    monkeypatch.setattr(machine, "has_gpu", lambda: False)
    monkeypatch.setattr(hardware, "processor", lambda: {"flags": "sse4 avx2"})
    asked: list[Way] = []

    def measure(
        _recipe: object, _shape: object, _classes: int, ways: list[Way]
    ) -> dict[Way, float]:
        asked.extend(ways)
        return dict.fromkeys(ways, 1.0)

    monkeypatch.setattr(speed, "measure", measure)
    assert resolve_way("auto", load_recipe("tiny"), SHAPE, 10) == PLAIN
    assert asked == [PLAIN, OURS]


def test_real_steps_are_timed_in_each_way_and_told(project: Path) -> None:
    found = speed.measure(load_recipe("tiny"), SHAPE, 10, WAYS[1:3])
    assert list(found) == WAYS[1:3] == [OURS, Way("mixed_bfloat16", "keras")]
    assert min(found.values()) > 10
    told = in_words(found | {PLAIN: 1.0})
    assert "mixed_bfloat16 by Keras's own kernels" in told
    assert told.split("auto is ")[1] == speed.way_in_words(fastest(found | {PLAIN: 1.0}))
