"""Step 2: the CSV files, checked, as arrays that need no parsing again: data/arrays/*.npy."""

from typing import Any

import numpy as np
from rich.table import Table

from pipeline.base.console import console, say
from pipeline.base.errors import UserError
from pipeline.base.files import remove_unfinished, write_json
from pipeline.base.paths import ARRAYS, RAW
from pipeline.base.settings import Competition, Settings, load_settings
from pipeline.data.arrays import Data, write_data
from pipeline.data.csv_files import MEND, read_bytes
from pipeline.data.rows import assign_folds, stratified_slice
from pipeline.provenance.stage import stage


def read_competition(competition: Competition) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Read and check train.csv and test.csv.

    Returns:
        uint8: train images (rows, height, width, channels), labels (rows,), test images.

    Raises:
        UserError: a fault in a file, and where.
    """
    pixels = competition.pixel_columns
    test = read_bytes(RAW / "test.csv", pixels)
    train = read_bytes(RAW / "train.csv", [competition.label_column, *pixels])
    labels = train[:, 0].copy()
    where = f"{RAW / 'train.csv'}: "
    wrong = np.flatnonzero(labels >= competition.classes)
    if len(wrong):
        raise UserError(
            f"{where}row {wrong[0] + 1}, column {competition.label_column}: {labels[wrong[0]]} is "
            f"not one of the classes 0..{competition.classes - 1}; {MEND}"
        )
    if (labels == labels[0]).all():
        raise UserError(
            f"{where}column {competition.label_column}: every row has the label {labels[0]}; "
            f"at least two classes are needed; {MEND}"
        )
    shape = competition.image_shape
    return train[:, 1:].reshape(-1, *shape), labels, test.reshape(-1, *shape)


def count_duplicates(train: np.ndarray, test: np.ndarray) -> dict[str, int]:
    """How many images are exact copies: of an earlier train row, and of a train row in test."""

    def keys(images: np.ndarray) -> np.ndarray:
        flat = np.ascontiguousarray(images.reshape(len(images), -1))
        return np.array([hash(row.tobytes()) for row in flat])

    train_keys = keys(train)
    return {
        "duplicates_within_train": len(train_keys) - len(np.unique(train_keys)),
        "duplicates_of_train_in_test": int(np.isin(keys(test), train_keys).sum()),
    }


def make_arrays(settings: Settings) -> dict[str, Any]:
    """Read the CSV files, write the arrays, return what is worth knowing about the data."""
    images, labels, test_images = read_competition(settings.competition)
    options = settings.preprocess
    rows = stratified_slice(labels, options.rows, settings.seed, "preprocess.rows")
    images, labels = images[rows], labels[rows]
    folds = assign_folds(labels, options.folds, settings.seed)  # all checks precede the first file
    write_data(Data(images, labels, test_images, folds), rows + 1)
    return {
        "train_rows": len(images),
        "test_rows": len(test_images),
        "label_counts": np.bincount(labels, minlength=settings.competition.classes).tolist(),
        "missing_values": 0,  # read_bytes refuses any
        **count_duplicates(images, test_images),
    }


def main() -> None:
    """Turn data/raw/*.csv, checked cell by cell, into data/arrays/*.npy."""
    settings = load_settings()
    with stage("preprocess"):
        remove_unfinished(ARRAYS)
        report = make_arrays(settings)
        write_json(ARRAYS / "report.json", report)
    table = Table("label", *map(str, range(settings.competition.classes)), box=None)
    table.add_row("rows", *(f"{count:,}" for count in report["label_counts"]))
    console.print(table)
    say(
        f"{report['train_rows']:,} train rows in {settings.preprocess.folds} stratified folds, "
        f"{report['test_rows']:,} test rows, no missing value; exact duplicates: "
        f"{report['duplicates_within_train']} within train, "
        f"{report['duplicates_of_train_in_test']} between train and test"
    )
