"""Bad input at every door: one line, exit code 1, nothing changed. Writes docs/bad-input.md."""

import hashlib
import importlib
import os
import resource
import stat
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml
from conftest import REPOSITORY, write_docs, write_yaml

from pipeline.competition import MNIST
from pipeline.config import load_settings
from pipeline.console import run_command
from pipeline.files import ARRAYS, METRICS, SUBMISSION, write_json
from pipeline.ledger import COLUMNS, LEDGER, read_ledger
from pipeline.preprocess import make_arrays
from pipeline.recipe import load_recipe
from pipeline.submission import check_submission

DOCS = REPOSITORY / "docs/bad-input.md"
PARAMS, RECIPE = Path("params.yaml"), Path("experiments/recipes/tiny.yaml")
TRAIN, TEST, SAMPLE = (
    Path("data/raw") / f"{name}.csv" for name in ("train", "test", "sample_submission")
)
HEADER = "label,pixel0,pixel1,pixel2,pixel3\n"
# 3 classes of 4 rows; the test file has the same pixels in 12 rows.
ROWS = [f"{row % 3},{row},{2 * row},255,0" for row in range(12)]
FILES = {
    TRAIN: HEADER + "\n".join(ROWS) + "\n",
    TEST: "\n".join(line.partition(",")[2] for line in [HEADER.strip(), *ROWS]) + "\n",
    SAMPLE: "ImageId,Label\n" + "".join(f"{row},0\n" for row in range(1, 13)),
    SUBMISSION: "ImageId,Label\n" + "".join(f"{row},{row % 3}\n" for row in range(1, 13)),
    LEDGER: ",".join(COLUMNS) + "\n2026-01-02T03:04:05.678+00:00" + ",a" * 14 + "\n",
}
# The command that meets a door's input, and what it makes of it.
COMMANDS = {
    "train.csv": "preprocess",
    "test.csv": "preprocess",
    "sample_submission.csv": "upload --dry-run",
    "submission.csv": "upload --dry-run",
    "ledger.csv": "upload --ledger",
    "params.yaml": "check",
    "recipe": "check",
    "mnist.npz": "download",
}
PATHS = {
    "train.csv": TRAIN, "test.csv": TEST, "sample_submission.csv": SAMPLE, "mnist.npz": MNIST,
    "submission.csv": SUBMISSION, "ledger.csv": LEDGER, "params.yaml": PARAMS, "recipe": RECIPE,
}  # fmt: skip
ACCEPTED = "accepted"  # in place of an error's words: the result is that of the clean input
LIMIT = 60  # seconds, after which a command hangs


@dataclass(frozen=True)
class Case:
    """An input, and what is to be said about it."""

    door: str
    input: str
    make: Callable[[Path], object]
    said: str
    command: str = ""
    real: bool = False  # as a process of its own, as the user starts it
    environment: dict[str, str] = field(default_factory=dict)

    def __str__(self) -> str:
        return f"{self.door}: {self.input}"


def text(content: str | bytes) -> Callable[[Path], object]:
    raw = content.encode() if isinstance(content, str) else content
    return lambda path: path.write_bytes(raw)


def recoded(encoding: str) -> Callable[[Path], object]:
    return lambda path: path.write_bytes(path.read_text().encode(encoding))


def swap(old: str, new: str) -> Callable[[Path], object]:
    """Change the first place of `old` in the file."""

    def make(path: Path) -> None:
        content = path.read_text()
        assert old in content
        path.write_bytes(content.replace(old, new, 1).encode())

    return make


def every(old: str, new: str) -> Callable[[Path], object]:
    return lambda path: path.write_bytes(path.read_text().replace(old, new).encode())


def setting(key: str, value: object) -> Callable[[Path], object]:
    """Change a value, at a dotted key, in a YAML file."""

    def make(path: Path) -> None:
        content = yaml.safe_load(path.read_text())
        *parents, last = key.split(".")
        section = content
        for parent in parents:
            section = section[parent]
        section[last] = value
        write_yaml(path, content)

    return make


def folder(path: Path) -> None:
    path.unlink(missing_ok=True)
    path.mkdir()


def loop(path: Path) -> None:
    path.unlink(missing_ok=True)
    path.symlink_to(path.name)


def pipe(path: Path) -> None:
    path.unlink(missing_ok=True)
    os.mkfifo(path)


def missing(path: Path) -> None:
    path.unlink()


def sparse(path: Path) -> None:
    """A gigabyte of NUL bytes that takes no room."""
    with path.open("wb") as file:
        file.truncate(1 << 30)


def wide(path: Path) -> None:
    header = path.read_text().partition("\n")[0]
    path.write_bytes(header.encode() + b",more" * 10_000_000 + b"\n1,2\n")


def no_files(door: str, reason: str = "cannot be read: ") -> list[Case]:
    """What is no file at all, at any door; the pipe is met by the real command: it might hang."""
    return [
        Case(door, "a folder", folder, f"{reason}it is a folder, not a file"),
        Case(door, "a symlink loop", loop, f"{reason}Too many levels of symbolic links"),
        Case(door, "a pipe (FIFO)", pipe, f"{reason}it is a pipe or a device", real=True),
    ]


def table_cases(door: str) -> list[Case]:
    """What can be wrong with a file of pixels; of train.csv, more below."""
    shown = {"train.csv": 5, "test.csv": 4}[door]
    header, *rows = FILES[PATHS[door]].splitlines(keepends=True)
    wanted = "is not a whole number 0..255"

    def cell(value: str) -> Callable[[Path], object]:
        """The file with a value in row 3, column pixel1."""
        return swap(",4,255,0\n", f",{value},255,0\n")

    def refused(value: str) -> Case:
        return Case(door, f"`{value}`", cell(value), f"row 3, column pixel1: {value!r} {wanted}")

    def lines(*content: str) -> Callable[[Path], object]:
        return text("".join(content))

    return [
        Case(door, "a byte order mark", recoded("utf-8-sig"), ACCEPTED),
        Case(door, "CRLF", every("\n", "\r\n"), ACCEPTED),
        Case(door, "no line end at the end", lines(header, *rows[:-1], rows[-1].strip()), ACCEPTED),
        Case(door, "leading zeros, `004`", cell("004"), ACCEPTED),
        Case(door, "CR alone, as on old Macs", every("\n", "\r"), "its lines end in CR alone; save it with LF"),
        Case(door, "UTF-16", recoded("utf-16"), "is UTF-16; save it as UTF-8", real=True),
        Case(door, "UTF-16 without a mark", recoded("utf-16-le"), "header: "),
        Case(door, "semicolons for commas", every(",", ";"), "header: 1 columns where"),
        *map(refused, ("256", "-1", "3.5", "1e2", "NaN", "inf", '"4"', "0x4", "\uff14", "4 4")),
        Case(door, "99,999 digits", cell("9" * 99_999), f"'{'9' * 40}...' {wanted}"),
        Case(door, "a NUL byte in a cell", cell("4\0"), f"row 3, column pixel1: '4\\x00' {wanted}"),
        Case(door, "a byte that is not UTF-8", lambda path: path.write_bytes(
            path.read_bytes().replace(b",4,", b",\xff,")), f"row 3, column pixel1: '\ufffd' {wanted}"),
        Case(door, "no value", cell(""), "row 3, column pixel1: the value is missing"),
        Case(door, "a blank line", lines(header, rows[0], "\n", *rows[1:]), f"row 2: 1 cells where the header has {shown}"),
        Case(door, "a blank line at the end", lines(header, *rows, "\n"), "row 13: 1 cells where"),
        Case(door, "a trailing comma", cell("4,"), f"row 3: {shown + 1} cells where"),
        Case(door, "a trailing comma in every line", every("\n", ",\n"), f"header: {shown + 1} columns where {shown}"),
        Case(door, "a row cut short", cell("4\n"), f"row 3: {shown - 2} cells where"),
        Case(door, "a column twice", swap("pixel1", "pixel0"), "header: the column 'pixel0' is there twice"),
        Case(door, "two columns swapped", swap("pixel0,pixel1", "pixel1,pixel0"), "is 'pixel1', not 'pixel0'"),
        Case(door, "a column missing", every(",0\n", "\n"), f"row 1: {shown - 1} cells"),
        Case(door, "a column and its name missing", lambda path: path.write_text(
            "\n".join(line.rpartition(",")[0] for line in path.read_text().splitlines())), f"header: {shown - 1} columns where {shown}"),
        Case(door, "a look-alike in the header", swap("pixel0", "\u0440ixel0"), "is '\u0440ixel0', not 'pixel0'"),
        Case(door, "10 million columns", wide, "header: far longer than that of the", real=door == "test.csv"),
        Case(door, "no header", lines(*rows), "header: "),
        Case(door, "a header alone", lines(header), "has a header and no rows; correct it, or delete it and `dvc repro` makes it anew"),
        Case(door, "empty", text(""), "is empty; correct it"),
        Case(door, "a gigabyte of NUL bytes", sparse, "header: "),
        Case(door, "a line of 20 million bytes", lines(header, "7" * 20_000_000), "a line is far longer than a row can be"),
        Case(door, "not there", missing, "cannot be read: No such file or directory; `dvc repro` makes it"),
        *no_files(door),
    ]  # fmt: skip


TRAIN_CASES = [
    Case("train.csv", "rows shuffled", text(HEADER + "\n".join(sorted(ROWS)) + "\n"), "12 train rows"),
    Case("train.csv", "a constant image", swap("0,0,0,255,0", "0,7,7,7,7"), "12 train rows"),
    Case("train.csv", "a label that is no class", swap("\n2,", "\n3,"), "row 3, column label: 3 is not one of the classes 0..2"),
    Case("train.csv", "one row", text(HEADER + ROWS[0] + "\n"), "every row says 0"),
    Case("train.csv", "one class", text(HEADER + "".join(f"1,{row},0,0,0\n" for row in range(9))), "column label: every row says 1; rows of two classes or more"),
    Case("train.csv", "a class with fewer rows than folds", text(HEADER + "\n".join(ROWS[:5]) + "\n"), "preprocess.folds: 2 folds, but label 2 has only 1 rows"),
]  # fmt: skip


def submission_cases(door: str) -> list[Case]:
    missing_row = {"submission.csv": "11 rows where", "sample_submission.csv": "12 rows where"}
    return [
        Case(door, "a byte order mark", recoded("utf-8-sig"), ACCEPTED),
        Case(door, "CRLF", every("\n", "\r\n"), ACCEPTED),
        Case(door, "UTF-16", recoded("utf-16"), "is UTF-16; save it as UTF-8"),
        Case(door, "a row missing", swap("\n12,0\n", "\n"), missing_row[door], real=True),
        Case(door, "a blank line", swap("\n3,", "\n\n3,"), "row 3: 1 cells where the header has 2"),
        Case(door, "a trailing comma", swap("\n3,0\n", "\n3,0,\n"), "row 3: 3 cells where the header has 2"),
        Case(door, "columns swapped", swap("ImageId,Label", "Label,ImageId"), "header: column 1 is 'Label', not 'ImageId'"),
        Case(door, "a column twice", swap("Label", "ImageId"), "header: the column 'ImageId' is there twice"),
        Case(door, "a look-alike in the header", swap("Label", "L\u0430bel"), "header: column 2 is 'L\u0430bel', not 'Label'"),
        Case(door, "ids shuffled", swap("\n2,2\n3,0\n" if door == "submission.csv" else "\n2,0\n3,0\n", "\n3,0\n2,2\n"), "row 2, column ImageId: "),
        Case(door, "10 million columns", text(b"," * 10_000_000), "header: far longer than that of the 2 columns wanted"),
        Case(door, "empty", text(""), "is empty"),
        Case(door, "not there", missing, "is missing; `dvc repro` makes it"),
        *no_files(door),
    ]  # fmt: skip


def label_case(value: str) -> Case:
    said = (
        f"row 2, column Label: {value!r} is not one of the classes 0..2; correct it, or delete it"
    )
    return Case("submission.csv", f"label `{value}`", swap("\n2,2\n", f"\n2,{value}\n"), said)


LEDGER_CASES = [
    Case("ledger.csv", "a byte order mark", recoded("utf-8-sig"), ACCEPTED),
    Case("ledger.csv", "CRLF", every("\n", "\r\n"), ACCEPTED),
    Case("ledger.csv", "UTF-16", recoded("utf-16"), "cannot be read: it is UTF-16; save it as UTF-8"),
    Case("ledger.csv", "empty", text(""), "header: time,sha256"),
    Case("ledger.csv", "a column missing", swap("time,", ""), "header: time,sha256", real=True),
    Case("ledger.csv", "a cell missing", swap(",a,a\n", ",a\n"), "row 1: 14 cells, 15 are wanted"),
    Case("ledger.csv", "a quote not closed", swap(",a\n", ',"a\n'), "cannot be read: unexpected end of data"),
    Case("ledger.csv", "10 million columns", text(b"," * 10_000_000), "header: time,sha256"),
    Case("ledger.csv", "a gigabyte of NUL bytes", sparse, "cannot be read: it is longer than 16,777,216 bytes"),
    *no_files("ledger.csv"),
]  # fmt: skip


def mnist_cases() -> list[Case]:
    def pickled(path: Path) -> None:
        with path.open("wb") as file:
            np.savez(file, x_train=np.array([{}], dtype=object))

    def cut(path: Path) -> None:
        with (REPOSITORY / MNIST).open("rb") as file:
            path.write_bytes(file.read(1_000_000))

    back = "`git checkout -- data/mnist.npz` brings it back"
    return [
        Case("mnist.npz", "not there", missing, f"is missing; {back}", real=True),
        Case("mnist.npz", "empty", text(""), f"is damaged; {back}"),
        Case("mnist.npz", "cut short", cut, f"is damaged; {back}"),
        Case("mnist.npz", "another .npz, with a pickle in it", pickled, f"is damaged; {back}"),
        *no_files("mnist.npz"),
    ]


def yaml_cases(door: str) -> list[Case]:
    """What can be wrong with any YAML file."""
    bomb = "a: &a [x, x]\nb: &b [*a, *a]\nc: [*b, *b]\n"
    key = {"params.yaml": "seed", "recipe": "epochs"}[door]
    return [
        Case(door, "a byte order mark", recoded("utf-8-sig"), ACCEPTED),
        Case(door, "CRLF", every("\n", "\r\n"), ACCEPTED),
        Case(door, "UTF-16", recoded("utf-16"), "is not good YAML: it is UTF-16; save it as UTF-8"),
        Case(door, "a NUL byte", swap(f"{key}: ", f"{key}: \0"), "special characters are not allowed", real=True),
        Case(door, "empty", text(""), "must be a mapping of keys to values; it is empty"),
        Case(door, "a list", text("- 1\n"), "must be a mapping of keys to values; it is of type list"),
        Case(door, "a tab for spaces", text("a:\n\tb: 1\n"), "is not good YAML"),
        Case(door, "a key twice", swap(f"{key}: ", f"{key}: 1\n{key}: "), f"the key '{key}' is given twice"),
        Case(door, "a bomb of aliases", text(bomb), "an alias (*name) is not allowed"),
        Case(door, "a tag, `!!python/object/apply:os.system`", text("!!python/object/apply:os.system ['touch escaped']"), "could not determine a constructor for the tag"),
        Case(door, "99,000 brackets", text("[" * 99_000), "is not good YAML: it is nested too deep"),
        Case(door, "a gigabyte", sparse, "it is longer than 100,000 bytes"),
        Case(door, "4,000 digits", setting(key, int("9" * 4000)), "not 99999999999999999999"),
        Case(door, "a list for a key", text("? [a]\n: 1\n"), "is not good YAML: unhashable type: 'list'"),
        Case(door, "a number for a key", text("1: 2\n"), "1: "),
        Case(door, "a line end and an escape in a key", text('"a\\nb\\e[31m": 1\n'), "a b\\x1b[31m: unknown key"),
        Case(door, "a look-alike for a key", swap(key, "\u0455" + key[1:]), f"\u0455{key[1:]}: unknown key; did you mean" if key == "seed" else f"\u0455{key[1:]}: unknown key"),
        *no_files(door),
    ]  # fmt: skip


def shown_yaml(key: str, value: object) -> str:
    dumped = yaml.safe_dump({key: value}, default_flow_style=True, width=1000, allow_unicode=True)
    return f"`{dumped.strip()[1:-1]}`"


def params_case(key: str, value: object, said: str, shown: str = "") -> Case:
    return Case("params.yaml", shown or shown_yaml(key, value), setting(key, value), said)


PARAMS_CASES = [
    params_case("preprocess.folds", 1, "preprocess.folds: Input should be greater than or equal to 2, not 1"),
    params_case("preprocess.folds", 1000, "preprocess.folds: Input should be less than or equal to 100"),
    params_case("preprocess.folds", "5", "preprocess.folds: Input should be a valid integer, not '5'", '`preprocess.folds: "5"`'),
    params_case("preprocess.folds", 3.5, "preprocess.folds: Input should be a valid integer"),
    Case("params.yaml", "`preprocess.folds: 1e2`", swap("folds: 2", "folds: 1e2"), "preprocess.folds: Input should be a valid integer, not 100.0"),
    Case("params.yaml", "more folds than rows", setting("preprocess.folds", 50), "preprocess.folds: 50 folds, but label 0 has only 4 rows; take fewer folds", "preprocess"),
    Case("params.yaml", "fewer rows than classes", setting("preprocess.rows", 2), "preprocess.rows: 2 rows of 12 cannot keep the shares of 3 groups", "preprocess"),
    params_case("preprocess.rows", -1, "preprocess.rows: Input should be greater than or equal to 1, not -1"),
    params_case("train.epochs", 0, "train.epochs: Input should be greater than or equal to 1, not 0"),
    params_case("train.repeats", True, "train.repeats: Input should be a valid integer, not True"),
    params_case("train.precision", "float16", "train.precision: Input should be 'auto', 'float32'"),
    params_case("kaggle.timeout", float("nan"), "a finite number is wanted"),
    params_case("kaggle.timeout", float("inf"), "a finite number is wanted"),
    params_case("kaggle.timeout", -1, "kaggle.timeout: Input should be greater than 0, not -1"),
    params_case("seed", -1, "seed: Input should be greater than or equal to 0, not -1"),
    params_case("seed", "\uff11", "seed: Input should be a valid integer, not '\uff11'", "a look-alike digit, `seed: \uff11`"),
    params_case("recipes", [], "recipes: Tuple should have at least 1 item"),
    params_case("recipes", ["../x"], "recipes.0: String should match pattern"),
    params_case("recipes", ["t\u0456ny"], "recipes.0: String should match pattern", "a look-alike in a recipe's name"),
    params_case("recipes", ["x" * 300], "recipes.0: String should have at most 100 characters", "a recipe's name of 300 letters"),
    params_case("recipes", ["tiny", "tiny"], "recipes: listed twice: tiny"),
    params_case("recipes", ["tinny"], "recipes: experiments/recipes/tinny.yaml does not exist; there are: tiny"),
    params_case("competition.image_shape", [1, 10_000_000, 1], "an image may have 262,144 values at the most"),
    params_case("competition.image_shape", [28, 28], "image_shape.2: missing"),
    params_case("competition.classes", 1, "competition.classes: Input should be greater than or equal to 2"),
    params_case("competition.slug", "../x", "competition.slug: String should match pattern"),
    params_case("competition.label_column", "pixel0", "label_column 'pixel0' is a pixel's column too"),
    params_case("competition.label_column", "a,b", "competition.label_column: String should match pattern"),
    params_case("competition.id_column", "Label", "id_column and prediction_column are both 'Label'"),
    params_case("tune", None, "tune: Input should be a valid dictionary"),
    Case("params.yaml", "not there", missing, "cannot be read: No such file"),
]  # fmt: skip


def recipe_case(key: str, value: object, said: str) -> Case:
    return Case("recipe", shown_yaml(key, value), setting(key, value), f"tiny.yaml: {said}")


RECIPE_CASES = [
    Case("recipe", "`learning_rate: 1e-3`, text to YAML 1.1", swap("initial_learning_rate: 0.001", "initial_learning_rate: 1e-3"), ACCEPTED),
    Case("recipe", "`learning_rate: .nan`", swap("initial_learning_rate: 0.001", "initial_learning_rate: .nan"), "'.nan': a finite number is wanted", real=True),
    recipe_case("epochs", 0, "epochs: Input should be greater than or equal to 1, not 0"),
    recipe_case("epochs", "ten", "epochs: Input should be a valid integer, not 'ten'"),
    recipe_case("batch_size", 0, "batch_size: Input should be greater than or equal to 1, not 0"),
    recipe_case("batch_size", 2.5, "batch_size: Input should be a valid integer"),
    recipe_case("layers", [], "layers: List should have at least 1 item"),
    recipe_case("layers", [{"ReLU": {}, "Flatten": {}}], "layers.0: one class name"),
    recipe_case("layers", [3], "layers.0: Input should be a valid dictionary, not 3"),
    recipe_case("augmentation.rotation_range", -1, "augmentation.rotation_range: Input should be greater than or equal to 0, not -1"),
    recipe_case("augmentation.zoom_range", 1.5, "augmentation.zoom_range: Input should be less than 1"),
    recipe_case("augmentation.elastic_sigma", 1e9, "augmentation.elastic_sigma: Input should be less than or equal to 100"),

    recipe_case("validation", -0.1, "validation: Input should be greater than 0, not -0.1"),
    recipe_case("canvas", {"height": 56, "width": 10_000_000}, "canvas.width: Input should be less than or equal to 1024"),
    recipe_case("loss", None, "loss: Input should be a valid dictionary, not None"),
    recipe_case("views", 0, "views: Input should be greater than or equal to 1, not 0"),
]  # fmt: skip


def nothing(path: Path) -> None:
    """The input is not in a file."""


def argument_case(command: str, said: str, real: bool = False) -> Case:
    return Case("arguments", f"`{command}`", nothing, said, command, real)


ARGUMENT_CASES = [
    argument_case("upload --mesage x", "No such option: --mesage", real=True),
    argument_case("upload --force nonsense", "'--force': Value error, 'nonsense' is not one of 'sent'"),
    argument_case("upload --wait soon", "'--wait': Input should be a valid integer"),
    argument_case("upload --wait nan", "'--wait': Input should be a valid integer"),
    argument_case("upload --wait -1", "'--wait': Input should be greater than or equal to 0"),
    argument_case("upload --message", "Option '--message' requires an argument"),
    argument_case("preprocess ../x", "Got unexpected extra argument(s) (../x)", real=True),
    argument_case("check --params=x", "No such option: --params"),
    argument_case("deals", "Missing argument 'deals'"),
    argument_case("deals 1e2", "'deals': Input should be a valid integer"),
    argument_case("deals -- -1", "'deals': Input should be greater than or equal to 0"),
    argument_case("ui --port 65536", "'--port': Input should be less than or equal to 65535"),
    argument_case("ui --port \uff15\uff10\uff10\uff10x", "'--port': Input should be a valid integer"),
]  # fmt: skip


def environment_case(name: str, value: str, said: str, make: Any = nothing) -> Case:
    shown = f"`{name}={value}`"
    return Case("environment", shown, make, said, "preprocess", True, {name: value})


def fullwidth(path: Path) -> None:
    swap(",4,", ",\uff14,")(TRAIN)


ENVIRONMENT_CASES = [
    environment_case("DVC_ROOT", "params.yaml", "params.yaml/experiments/cache/locks: Not a directory; put that right"),
    environment_case("DVC_ROOT", "/proc/nowhere", "/proc/nowhere"),
    environment_case("COLUMNS", "0", "row 3, column pixel1: '\uff14' is not", fullwidth),
    environment_case("PYTHONIOENCODING", "ascii", "row 3, column pixel1: '\\uff14' is not", fullwidth),
]  # fmt: skip


def negative_rate(path: Path) -> None:
    setting("search", {})(path)
    setting("layers", ["Flatten", {"Dropout": {"rate": -0.1}}])(path)


# TensorFlow has to start for these, which takes some ten seconds.
MODEL_CASES = [
    Case("recipe", "`Dropout: {rate: -0.1}`", negative_rate, "layers.1: Dropout: ", "models tiny"),
    Case("recipe", "`Conv2d` for `Conv2D`", swap("Conv2D", "Conv2d"), "has no Conv2d; did you mean Conv2D?", "models tiny"),
    Case("arguments", "`models ../../nosuch`", nothing, "nosuch.yaml does not exist; there are: tiny", "models ../../nosuch"),
]  # fmt: skip

CASES = [
    *table_cases("train.csv"),
    *TRAIN_CASES,
    *table_cases("test.csv"),
    *submission_cases("sample_submission.csv"),
    *submission_cases("submission.csv"),
    *map(label_case, ("3", "-1", "2.0", "1e0", "NaN", "", '"2"', " 2", "02", "\uff12")),
    *LEDGER_CASES,
    *mnist_cases(),
    *yaml_cases("params.yaml"),
    *PARAMS_CASES,
    *yaml_cases("recipe"),
    *RECIPE_CASES,
    *ARGUMENT_CASES,
    *ENVIRONMENT_CASES,
]
SEEN: dict[str, tuple[str, str, str]] = {}  # the rows of docs/bad-input.md, by case


@pytest.fixture
def small(project: Path, params: dict[str, Any]) -> Path:
    """A project of 12 images of 2 x 2 pixels, with all the files that one meets."""
    params["competition"] |= {"image_shape": [2, 2, 1], "classes": 3}
    write_yaml(PARAMS, params)
    for path, content in FILES.items():
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content.encode())
    MNIST.touch()
    ARRAYS.mkdir()
    (ARRAYS / "train_labels.npy").write_bytes(b"of an earlier run")
    write_json(METRICS, {"cv_accuracy": 0.9, "cv_accuracy_low": 0.8, "cv_accuracy_high": 1.0})
    return project


def state() -> dict[str, str]:
    """All files by their names, but for locks and the time a stage took."""
    found = {}
    for path in sorted(Path().rglob("*")):
        kind = path.lstat().st_mode
        if path.parts[:2] == ("experiments", "cache") or path.suffix == ".lock":
            continue
        if stat.S_ISREG(kind):
            with path.open("rb") as file:
                content = file.read(1 << 20)
            found[str(path)] = f"{path.stat().st_size} {hashlib.sha256(content).hexdigest()}"
        else:
            found[str(path)] = f"{stat.S_IFMT(kind):o}"
    return found


def outcome(case: Case, capsys: pytest.CaptureFixture[str]) -> tuple[int, str, str]:
    """Exit code, stdout and stderr of the case's command."""
    module, *arguments = (case.command or COMMANDS[case.door]).split()
    if case.real:
        command = [sys.executable, "-m", f"pipeline.{module}", *arguments]
        environment = os.environ | {"PYTHONPATH": str(REPOSITORY)} | case.environment
        result = subprocess.run(
            command, capture_output=True, text=True, timeout=LIMIT, env=environment
        )
        return result.returncode, result.stdout, result.stderr
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sys, "argv", [module, *arguments])
        with pytest.raises(SystemExit) as ended:
            run_command(importlib.import_module(f"pipeline.{module}").main)
    code = ended.value.code
    assert isinstance(code, int)
    return code, *capsys.readouterr()


def result(door: str) -> Any:
    """What the pipeline takes from the input behind a door."""
    settings = load_settings()
    if door in ("train.csv", "test.csv"):
        report = make_arrays(settings.competition, settings.preprocess, settings.seed)
        return report, {path.name: path.read_bytes() for path in ARRAYS.iterdir()}
    if "submission" in door:
        return check_submission(SUBMISSION, SAMPLE, settings.competition)
    if door == "ledger.csv":
        return read_ledger()
    return settings if door == "params.yaml" else load_recipe("tiny")


@pytest.mark.parametrize(
    "case", [*CASES, *(pytest.param(case, marks=pytest.mark.slow) for case in MODEL_CASES)], ids=str
)
def test_input(small: Path, case: Case, capsys: pytest.CaptureFixture[str]) -> None:
    clean = result(case.door) if case.said == ACCEPTED else None
    case.make(PATHS.get(case.door, Path()))
    if case.said == ACCEPTED:
        assert result(case.door) == clean
        SEEN[str(case)] = (case.door, case.input, "accepted; the result is the same")
        return
    before = state()
    code, printed, said = outcome(case, capsys)
    if case.door == "train.csv" and case.said == "12 train rows":  # nothing is wrong
        assert (code, said) == (0, "")
        assert case.said in printed
        SEEN[str(case)] = (case.door, case.input, "accepted")
        return
    assert code == 1
    assert said.startswith("error: ")
    assert said.count("\n") == 1
    assert case.said in said
    assert printed == ""
    assert state() == before
    SEEN[str(case)] = (case.door, case.input, said.removeprefix("error: ").strip())


def test_a_full_disk_is_one_line_and_leaves_what_was_there(
    small: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    before = state()
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (100, limits[1]))  # an array's header is 128 bytes
    try:
        code, printed, said = outcome(Case("disk", "full", nothing, "", "preprocess"), capsys)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert (code, printed) == (1, "")
    assert (
        said == "error: data/arrays/train_images.npy: File too large; make room and run it again\n"
    )
    assert state() == before
    SEEN["disk"] = ("disk", "full, in the middle of a file", said.removeprefix("error: ").strip())


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write anywhere")
def test_a_folder_that_may_not_be_written_is_one_line(
    small: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    ARRAYS.chmod(0o555)
    code, _, said = outcome(Case("disk", "read-only", nothing, "", "preprocess"), capsys)
    ARRAYS.chmod(0o755)
    assert code == 1
    assert said.endswith("Permission denied; give this user the right to it and run it again\n")


def test_each_door_is_met_twice_by_the_real_command() -> None:
    for door in {case.door for case in CASES}:
        assert sum(case.real for case in CASES if case.door == door) >= 2, door


def row_of(*cells: str) -> str:
    return "| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |"


def test_the_table_in_docs_is_what_was_seen() -> None:
    if not {str(case) for case in CASES} <= set(SEEN):
        pytest.skip("only some of the cases were run")
    old = DOCS.read_text().splitlines() if DOCS.exists() else []
    rows = [row_of(*seen) for seen in SEEN.values()]
    for case in (case for case in MODEL_CASES if str(case) not in SEEN):
        rows += [line for line in old if line.startswith(row_of(case.door, case.input))]
    order = [*dict.fromkeys(f"| {case.door} |" for case in CASES), "| disk |"]
    rows.sort(key=lambda row: next(at for at, door in enumerate(order) if row.startswith(door)))
    lines = [
        "# Bad input, and what then happens",
        "",
        "Written by `tests/test_bad_input.py`, which hands each of these to the command that meets it.",
        "Where a line is shown, it is all that is printed, after `error:`; the exit code is 1, and no file",
        "is changed. None takes 5 seconds on 2 cores, but what `python -m pipeline.models` finds once",
        "TensorFlow has started (Keras's own classes and arguments). What goes wrong with Kaggle is in",
        "[kaggle.md](kaggle.md).",
        "",
        "| door | input | what happens |",
        "|---|---|---|",
        *rows,
    ]
    write_docs(DOCS, lines)
