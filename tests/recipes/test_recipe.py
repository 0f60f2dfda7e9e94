import copy
from pathlib import Path
from typing import Any

import pytest

from pipeline.base.dotted import value_at
from pipeline.base.errors import UserError
from pipeline.data.results import Confirmed, Tuned
from pipeline.recipes.files import load_recipe, with_values
from support.project import TINY, write_yaml


def change(project: Path, **changes: Any) -> None:
    write_yaml(project / "experiments/recipes/tiny.yaml", copy.deepcopy(TINY) | changes)


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"epoch": 3}, "tiny.yaml: epoch: unknown key; did you mean epochs?"),
        ({"epochs": 0}, "tiny.yaml: epochs: Input should be greater than or equal to 1"),
        ({"layers": []}, "tiny.yaml: layers: List should have at least 1 item"),
        ({"layers": [{"ReLU": {}, "Flatten": {}}]}, "layers.0: give one class name"),
        ({"scaling": "none"}, "scaling: Input should be 'unit'"),
        ({"callbacks": ["EarlyStopping"]}, "callbacks.0: it watches val_loss: set `validation`"),
        (
            {"validation": 0.1, "callbacks": ["ReduceLROnPlateau"]},
            "callbacks.0: ReduceLROnPlateau needs a learning rate, not a schedule",
        ),
        ({"split": {"digits": "other"}}, "split.digits: Input should be 'competition' or 'mnist'"),
        ({"augmentation": {"rotate": 3}}, "augmentation.rotate: unknown key"),
        ({"augmentation": {"zoom_range": 1.5}}, "augmentation.zoom_range: Input should be less"),
        ({"views": 4, "augmentation": {"horizontal_flip": True}}, "views: 4 of an image differ by"),
        (
            {"search": {"batchsize": {"int": {"low": 1, "high": 2}}}},
            "batchsize: there is no such key",
        ),
        ({"search": {"batch_size": {"int": {"low": 9, "high": 2}}}}, "`low <= high` must hold"),
        ({"search": {"batch_size": {}}}, "give one of float, int or categorical"),
        (
            {"search": {"batch_size": {"int": {"low": 64, "high": 128}}}},
            "own 32 is not in the range",
        ),
        ({"search": {"batch_size": {"categorical": [16, 64]}}}, "own 32 is not in the range"),
        ({"search": {"epochs": {"float": {"low": 0, "high": 9, "log": True}}}}, "search.epochs: "),
        ({"search": {"epochs": {"int": {"low": 1, "high": 9, "step": 0}}}}, "search.epochs: "),
    ],
)
def test_a_fault_in_a_recipe_is_named(project: Path, changes: Any, said: str) -> None:
    change(project, **changes)
    with pytest.raises(UserError) as caught:
        load_recipe("tiny")
    assert said in str(caught.value)
    assert "\n" not in str(caught.value)


def test_an_unknown_recipe_lists_those_there_are(project: Path) -> None:
    with pytest.raises(UserError, match=r"tinny.yaml does not exist; there are: tiny"):
        load_recipe("tinny")


def test_values_are_replaced_at_dotted_keys(project: Path) -> None:
    recipe = load_recipe("tiny")
    key = "optimizer.AdamW.learning_rate.CosineDecay.warmup_target"
    changed = with_values(recipe, {"layers.4.Dropout.rate": 0.3, key: 0.5}, Path("x"))
    assert value_at(changed.model_dump(), "layers.4.Dropout.rate") == 0.3
    assert value_at(changed.model_dump(), key) == 0.5
    assert value_at(recipe.model_dump(), "layers.4.Dropout.rate") == 0.1


def test_tuned_values_are_taken_and_checked(project: Path) -> None:
    assert load_recipe("tiny", {"batch_size": 16}).batch_size == 16
    assert load_recipe("tiny").batch_size == 32
    for values in ({"batch_size": -1}, {"layers.99.Dropout.rate": 1}):
        with pytest.raises(UserError, match=r"experiments/tune/tiny.yaml: "):
            load_recipe("tiny", values)


def test_what_tuning_writes_is_read_back_also_if_a_value_is_in_it_twice(project: Path) -> None:
    """As it is when tuned values are taken; YAML would write an alias, which is refused."""
    values = {"layers.4": {"Dropout": {"rate": 0.3}}, "batch_size": 16}
    confirmed = Confirmed(
        trial=2, values=values, score=0.9, own_score=0.8, rows=9, p_value=0.01, beats=True
    )
    Tuned(values=values, taken=True, confirmed=[confirmed], first=[values]).write("tiny")
    read = Tuned.read("tiny")
    assert (read.values, read.confirmed) == (values, [confirmed])
    assert load_recipe("tiny", read.values).batch_size == 16


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("values: [1]\n", "tiny.yaml: values: Input should be a valid dictionary"),
        ("valeus: {}\n", "tiny.yaml: valeus: Extra inputs are not permitted"),
    ],
)
def test_a_tuning_result_of_another_form_is_named(project: Path, text: str, said: str) -> None:
    path = project / "experiments/tune/tiny.yaml"
    path.parent.mkdir()
    path.write_text(text)
    with pytest.raises(UserError, match=f"{said}.*; delete it and run `dvc repro`"):
        Tuned.read("tiny")
