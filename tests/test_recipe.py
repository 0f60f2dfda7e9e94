import copy
from pathlib import Path
from typing import Any

import pytest
from conftest import TINY, write_yaml

from pipeline.console import UserError
from pipeline.recipe import load_recipe, value_at, with_values


def change(project: Path, **changes: Any) -> None:
    write_yaml(project / "experiments/recipes/tiny.yaml", copy.deepcopy(TINY) | changes)


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"epoch": 3}, "tiny.yaml: epoch: unknown key; did you mean epochs?"),
        ({"epochs": 0}, "tiny.yaml: epochs: Input should be greater than or equal to 1"),
        ({"layers": []}, "tiny.yaml: layers: List should have at least 1 item"),
        ({"layers": [{"ReLU": {}, "Flatten": {}}]}, "layers.0: one class name"),
        ({"scaling": "none"}, "scaling: Input should be 'unit'"),
        ({"callbacks": ["EarlyStopping"]}, "callbacks.0: val_loss is watched: set `validation`"),
        (
            {"validation": 0.1, "callbacks": ["ReduceLROnPlateau"]},
            "callbacks.0: ReduceLROnPlateau needs a learning rate, not a schedule",
        ),
        ({"split": {"digits": "other"}}, "split.digits: Input should be 'competition' or 'mnist'"),
        ({"augmentation": {"rotate": 3}}, "augmentation.rotate: unknown key"),
        ({"augmentation": {"zoom_range": 1.5}}, "augmentation.zoom_range: Input should be less"),
        ({"search": {"batchsize": {"int": {"low": 1, "high": 2}}}}, "batchsize: the recipe has no"),
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
    write_yaml(project / "experiments/tune/tiny.yaml", {"values": {"batch_size": 16}})
    assert load_recipe("tiny", tuned=True).batch_size == 16
    assert load_recipe("tiny").batch_size == 32
    write_yaml(project / "experiments/tune/tiny.yaml", {"values": {"batch_size": -1}})
    with pytest.raises(UserError, match=r"experiments/tune/tiny.yaml: batch_size"):
        load_recipe("tiny", tuned=True)
    for values in ({"layers.99.Dropout.rate": 1}, [1]):
        write_yaml(project / "experiments/tune/tiny.yaml", {"values": values})
        with pytest.raises(UserError, match=r"experiments/tune/tiny.yaml: "):
            load_recipe("tiny", tuned=True)
