"""Competitions in the layouts of real ones: from their files to a file that an independent check takes."""

import csv
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml

from pipeline import download, preprocess
from pipeline.base.paths import ARRAYS, RAW, SUBMISSION
from pipeline.base.settings import load_settings
from pipeline.data.arrays import load_data
from pipeline.data.submission_file import check_submission, load_template, write_submission
from support.layouts import LAYOUTS, TEST, TRAIN, Layout, many_classes, zipped
from support.project import run_here, write_yaml


def describe(params: dict[str, Any], layout: Layout, source: str) -> None:
    write_yaml(Path("params.yaml"), params | {"competition": "mine"})
    write_yaml(Path("competitions/mine.yaml"), layout.description | {"source": source})


def class_of(image: np.ndarray, classes: int) -> int:
    return int(image.mean() * classes / 256)


def submit(layout: Layout) -> list[list[str]]:
    """Predict the test images by eye, write the file, and read it as a grader does."""
    data, settings = load_data(), load_settings()
    count = len(data.classes)
    sure = np.eye(count, dtype=np.float32)[[class_of(image, count) for image in data.test_images]]
    template, classes = load_template(), list(data.classes)
    predicted = 0.9 * sure + 0.1 / count
    write_submission(SUBMISSION, predicted, template, settings.competition, classes)
    check_submission(SUBMISSION, template, settings.competition, classes)
    with SUBMISSION.open(newline="") as file:
        header, *rows = list(csv.reader(file))
    assert header == layout.header
    return rows


def accepted(layout: Layout, rows: list[list[str]]) -> bool:
    """Whether each row, in the sample's order, says what is true: a label, or the likeliest class."""
    assert [row[0] for row in rows] == list(layout.truth)
    form = layout.description["submission"].get("form", "label")
    for row, true in zip(rows, layout.truth.values(), strict=True):
        if form == "label":
            assert row[1] == true
        elif form == "probability":
            positive = str(layout.description["submission"].get("positive", 1))
            assert (float(row[1]) > 0.5) == (true == positive)
        else:
            assert layout.header[1 + int(np.argmax([float(cell) for cell in row[1:]]))] == true
            assert sum(map(float, row[1:])) == pytest.approx(1, abs=1e-5)
    return True


@pytest.mark.parametrize("as_zip", [False, True], ids=["folder", "zip"])
@pytest.mark.parametrize("name", LAYOUTS)
def test_a_layout_is_read_and_its_submission_accepted(
    project: Path, params: dict[str, Any], name: str, as_zip: bool
) -> None:
    layout = LAYOUTS[name]()
    source = Path("mine.zip") if as_zip else Path("mine")
    if as_zip:
        source.write_bytes(
            zipped({f"inner/{name}": content for name, content in layout.files.items()})
        )
    else:
        layout.write(source)
    before = {path: path.stat().st_mtime_ns for path in [source, *source.rglob("*")]}
    describe(params, layout, str(source))
    download.main()
    preprocess.main()
    data = load_data()
    assert list(data.classes) == sorted(
        layout.classes,
        key=lambda each: (not each.isdigit(), int(each) if each.isdigit() else 0, each),
    )
    count = len(data.classes)
    assert [class_of(image, count) for image in data.train_images] == data.train_labels.tolist()
    assert len(data.train_images) in (TRAIN, 2 * TRAIN)
    assert len(data.test_images) == TEST
    assert accepted(layout, submit(layout))
    assert {
        path: path.stat().st_mtime_ns for path in [source, *source.rglob("*")]
    } == before  # only read


def test_a_thousand_classes(project: Path, params: dict[str, Any]) -> None:
    layout = many_classes()
    layout.write(Path("mine"))
    describe(params, layout, "mine")
    download.main()
    preprocess.main()
    data = load_data()
    assert len(data.classes) == 1000
    assert data.train_labels.dtype == np.uint16
    assert data.train_labels.max() == 999
    assert json.loads((ARRAYS / "report.json").read_text())["label_counts"] == [2] * 1000


@pytest.mark.slow
def test_a_users_own_files_are_never_replaced(
    mnist: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    RAW.mkdir(parents=True)
    (RAW / "train.csv").write_text("mine\n")
    with pytest.raises(Exception, match="was not written by this project and would be replaced"):
        download.main()
    assert (RAW / "train.csv").read_text() == "mine\n"
    (RAW / "train.csv").unlink()
    download.main()
    first = (RAW / "train.csv").read_bytes()
    download.main()  # what it wrote itself it replaces
    assert (RAW / "train.csv").read_bytes() == first


@pytest.mark.parametrize("name", LAYOUTS)
def test_a_proposed_description_fits_its_files(
    project: Path, params: dict[str, Any], capsys: pytest.CaptureFixture[str], name: str
) -> None:
    layout = LAYOUTS[name]()
    layout.write(Path("mine"))
    assert run_here("describe", "mine", "--write", "proposed") == 0
    assert "competition: proposed" in capsys.readouterr().out
    write_yaml(Path("params.yaml"), params | {"competition": "proposed"})
    described = yaml.safe_load(Path("competitions/proposed.yaml").read_text())
    if described["submission"].get("positive") == 1 and "0" not in layout.classes:
        described["submission"]["positive"] = layout.classes[1]  # which one no file tells
    if name == "small_digits":
        described["images"]["shape"] = [2, 8, 1]
    if name == "colour_rows":
        described["images"]["shape"] = [2, 2, 3]
    write_yaml(Path("competitions/proposed.yaml"), described)
    download.main()
    preprocess.main()
    assert sorted(load_data().classes) == sorted(layout.classes)
