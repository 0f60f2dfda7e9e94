import tempfile
from pathlib import Path
from typing import Any

import pytest
from dvc.utils.serialize import load_yaml
from hypothesis import given
from hypothesis import strategies as st
from ruamel.yaml.error import YAMLError

from pipeline.base.errors import UserError
from pipeline.base.settings import load_settings
from pipeline.base.yaml_file import parse_yaml, read_yaml, write_yaml
from support.project import REPOSITORY


def test_the_committed_params_are_good() -> None:
    settings = load_settings(REPOSITORY / "params.yaml")
    assert settings.competition.embedded
    assert settings.competition.image_shape == (28, 28, 1)
    assert settings.recipes


@pytest.mark.parametrize(
    ("key", "value", "said"),
    [
        ("train.epoch", 3, "train.epoch: unknown key; did you mean epochs?"),
        ("zzz", 3, "zzz: unknown key; known here: seed, competition"),
        ("seed", "1", "seed: Input should be a valid integer, not '1'"),
        ("seed", -1, "seed: Input should be greater than or equal to 0, not -1"),
        ("seed", True, "seed: Input should be a valid integer, not True"),
        ("preprocess.folds", 1, "preprocess.folds: Input should be greater than or equal to 2"),
        ("tune.rows", None, "tune.rows: Input should be a valid integer, not None"),
        ("preprocess.rows", 2.5, "preprocess.rows: Input should be a valid integer"),
        ("train.epochs", 0, "train.epochs: Input should be greater than or equal to 1"),
        ("train.precision", "half", "train.precision: Input should be 'auto', 'float32'"),
        ("recipes", [], "recipes: Tuple should have at least 1 item"),
        ("recipes", ["../x"], "recipes.0: String should match pattern"),
        ("recipes", ["a", "a"], "recipes: listed twice: a"),
        ("tune", None, "tune: Input should be a valid dictionary or instance of Tune"),
        ("ensemble.method", None, "ensemble.method: Input should be 'mean' or 'hill_climb'"),
    ],
)
def test_a_wrong_value_is_named(
    project: Path, params: Any, key: str, value: Any, said: str
) -> None:
    *parents, last = key.split(".")
    section = params
    for parent in parents:
        section = section[parent]
    section[last] = value
    write_yaml(project / "params.yaml", params)
    with pytest.raises(UserError) as caught:
        load_settings()
    assert str(caught.value).startswith("params.yaml: ")
    assert said in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_missing_key_is_named(project: Path, params: Any) -> None:
    del params["train"]["epochs"]
    write_yaml(project / "params.yaml", params)
    with pytest.raises(UserError, match=r"params.yaml: train.epochs: missing"):
        load_settings()


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("seed: [1", "is not valid YAML"),
        ("seed: 1\nseed: 2\n", "line 2: the key 'seed' is given twice"),
        ("a: &a [1]\nb: *a\n", "an alias (*name) is not allowed"),
        ("!!python/object/apply:os.getcwd []", "could not determine a constructor"),
        ("seed: 2024-02-30\n", "is not valid YAML"),
        ("seed: !!int abc\n", "is not valid YAML"),
        ("- 1\n", "must be a mapping"),
        ("", "must be a mapping"),
    ],
)
def test_bad_yaml_is_one_line(project: Path, text: str, said: str) -> None:
    (project / "params.yaml").write_text(text)
    with pytest.raises(UserError) as caught:
        load_settings()
    assert said in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    "text", ["[a]: 1", "2024-13-01", "!!int abc", "a: !!bool maybe", "a: !!int ''"]
)
def test_what_is_not_yaml_is_one_kind_of_error(text: str) -> None:
    with pytest.raises(YAMLError):
        parse_yaml(text)


@given(st.text(alphabet="ab: -[]{}&*!?|>'\"#%@,.\n\t0123456789eEinfNaN~<=\0\ufeff", max_size=40))
def test_any_text_is_a_mapping_or_one_line(content: str) -> None:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "params.yaml"
        path.write_text(content)
        try:
            assert isinstance(read_yaml(path), dict)
            load_settings(path)
        except UserError as error:
            assert "\n" not in str(error)


@pytest.mark.parametrize(
    ("said", "value"),
    [
        ("1e-3", 0.001), ("1.5E3", 1500.0), ("-2.e+1", -20.0), ("1.5", 1.5), ("7", 7), ("1e", "1e"),
        ("true", True), ("False", False), ("off", "off"), ("yes", "yes"), ("", None), ("012", 12),
        ("010", 10), ("0o14", 12), ("1:30", "1:30"), ("1_000", 1000), ("0x1f", 31), (".5", 0.5),
    ],
)  # fmt: skip
def test_plain_values_are_what_dvc_reads(project: Path, said: str, value: Any) -> None:
    path = project / "a.yaml"
    path.write_text(f"a: {said}\n")
    for read in (read_yaml(path)["a"], load_yaml(path)["a"]):
        assert (read, type(read)) == (value, type(value))


def test_what_is_written_is_read_back(project: Path) -> None:
    value = {"z": {"b": [1, 0.1, 1e-5]}, "a": "off", "n": None, "again": {"b": [1, 0.1, 1e-5]}}
    value["same"] = value["z"]
    write_yaml(project / "a.yaml", value)
    assert read_yaml(project / "a.yaml") == load_yaml(project / "a.yaml") == value
    assert list(read_yaml(project / "a.yaml")) == list(value)


def test_a_missing_file_is_named(project: Path) -> None:
    (project / "params.yaml").unlink()
    with pytest.raises(UserError, match=r"params.yaml cannot be read: No such file"):
        load_settings()
