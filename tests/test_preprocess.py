import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from pipeline.base.errors import UserError
from pipeline.data.csv_files import write_csv
from pipeline.data.rows import assign_folds, stratified_slice
from pipeline.preprocess import main
from support.project import digits, write_competition, write_yaml

COLUMNS = [f"pixel{i}" for i in range(784)]


@pytest.fixture
def raw(project: Path) -> Path:
    """The project with CSV files of 200 train and 50 test digits."""
    write_competition(project, rows={})
    write_raw(*digits(200), digits(50, seed=1)[0])
    return project


def write_raw(images: np.ndarray, labels: np.ndarray, test: np.ndarray) -> None:
    def pixels(of: np.ndarray) -> dict[str, np.ndarray]:
        return dict(zip(COLUMNS, np.ascontiguousarray(of.reshape(len(of), -1).T), strict=True))

    write_csv(Path("data/raw/train.csv"), {"label": labels} | pixels(images))
    write_csv(Path("data/raw/test.csv"), pixels(test))
    ids = np.arange(1, len(test) + 1)
    write_csv(Path("data/raw/sample_submission.csv"), {"ImageId": ids, "Label": 0 * ids})


def make() -> dict[str, Any]:
    main()
    report: dict[str, Any] = json.loads(Path("data/arrays/report.json").read_text())
    return report


def test_the_arrays_hold_what_the_files_said(raw: Path) -> None:
    report = make()
    images, labels = digits(200)
    assert np.array_equal(np.load("data/arrays/train_images.npy"), images)
    assert np.array_equal(np.load("data/arrays/train_labels.npy"), labels)
    assert np.array_equal(np.load("data/arrays/test_images.npy"), digits(50, seed=1)[0])
    for name in ("train_images", "train_labels", "test_images", "folds"):
        assert np.load(f"data/arrays/{name}.npy").dtype == np.uint8
    assert report == {
        "train_rows": 200,
        "test_rows": 50,
        "label_counts": [20] * 10,
        "missing_values": 0,
        "duplicates_within_train": 0,
        "duplicates_of_train_in_test": 0,
    }


def test_exact_duplicates_are_counted(project: Path) -> None:
    write_competition(project, rows={})
    images, labels = digits(200)
    images[7] = images[5]
    images[9] = images[5]
    test = digits(50, seed=1)[0]
    test[[1, 2, 3]] = images[100]
    write_raw(images, labels, test)
    report = make()
    assert report["duplicates_within_train"] == 2
    assert report["duplicates_of_train_in_test"] == 3


def test_labels_with_gaps_become_classes_in_their_order(project: Path) -> None:
    write_competition(project, rows={})
    images, labels = digits(200)
    write_raw(images, np.where(labels == 9, 30, labels), digits(50)[0])
    make()
    assert json.loads(Path("data/arrays/classes.json").read_text()) == [*map(str, range(9)), "30"]
    assert np.array_equal(np.load("data/arrays/train_labels.npy"), labels)


def test_a_truncated_file_is_named_and_the_old_arrays_stay(raw: Path) -> None:
    make()
    path = Path("data/raw/train.csv")
    path.write_bytes(path.read_bytes()[:-1000])
    with pytest.raises(UserError, match=r"train.csv: row 200: expected 785 cells, found \d+"):
        make()
    assert len(np.load("data/arrays/train_labels.npy")) == 200


def test_folds_are_stratified_and_seeded() -> None:
    labels = digits(200)[1]
    folds = assign_folds(labels, 5, seed=3)
    for fold in range(5):
        assert (np.bincount(labels[folds == fold]) == 4).all()
    assert np.array_equal(folds, assign_folds(labels, 5, seed=3))
    assert not np.array_equal(folds, assign_folds(labels, 5, seed=4))


def test_more_folds_than_rows_of_a_label_is_an_error() -> None:
    labels = np.array([0] * 9 + [1] * 3)
    with pytest.raises(UserError, match=r"preprocess.folds: 5 folds, but label 1 has only 3 rows"):
        assign_folds(labels, 5, seed=0)


def test_a_slice_keeps_each_labels_share() -> None:
    labels = np.repeat(np.arange(4), [400, 200, 100, 100])
    rows = stratified_slice(labels, 80, 0, "preprocess.rows")
    assert np.array_equal(np.bincount(labels[rows]), [40, 20, 10, 10])
    assert np.array_equal(rows, np.unique(rows))
    assert np.array_equal(stratified_slice(labels, None, 0, "x"), np.arange(800))
    assert np.array_equal(stratified_slice(labels, 9999, 0, "x"), np.arange(800))
    with pytest.raises(UserError, match=r"preprocess.rows: 3 rows of 800 cannot keep the shares"):
        stratified_slice(labels, 3, 0, "preprocess.rows")


def test_a_slice_takes_strata_of_a_single_row_together() -> None:
    strata = np.array([0] * 50 + [1] * 50 + [2, 3, 4])
    rows = stratified_slice(strata, 50, 0, "x")
    assert len(rows) == 50
    assert 20 < (strata[rows] == 0).sum() < 30
    lonely = np.array([0] * 50 + [1])
    assert len(stratified_slice(lonely, 25, 0, "x")) == 25


def test_a_fault_that_shows_late_still_leaves_the_old_arrays(
    raw: Path, params: dict[str, Any]
) -> None:
    make()
    write_yaml(raw / "params.yaml", params | {"preprocess": {"folds": 5, "rows": 20}})
    with pytest.raises(UserError, match=r"preprocess.folds: 5 folds, but label 0 has only 2 rows"):
        make()
    assert len(np.load("data/arrays/train_images.npy")) == 200
