"""Stage: the CSV files, checked, as arrays that need no parsing again: data/arrays/*.npy."""

from typing import Any

import numpy as np
from rich.table import Table

from pipeline.config import Competition, Preprocess, load_settings
from pipeline.console import UserError, console, run_command, say
from pipeline.files import ARRAYS, RAW, remove_unfinished, write_array, write_json
from pipeline.stage import stage
from pipeline.tables import MEND, read_bytes


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
    wrong = np.flatnonzero(labels >= competition.classes)
    if len(wrong):
        raise UserError(
            f"{RAW / 'train.csv'}: row {wrong[0] + 1}, column {competition.label_column}: "
            f"{labels[wrong[0]]} is not one of the classes 0..{competition.classes - 1}; {MEND}"
        )
    if (labels == labels[0]).all():
        raise UserError(
            f"{RAW / 'train.csv'}: column {competition.label_column}: every row says {labels[0]}; "
            f"rows of two classes or more are wanted; {MEND}"
        )
    shape = competition.image_shape
    return train[:, 1:].reshape(-1, *shape), labels, test.reshape(-1, *shape)


def stratified_slice(strata: np.ndarray, rows: int | None, seed: int, setting: str) -> np.ndarray:
    """The positions, rising, of `rows` rows with each stratum's share kept; None: of all.

    As many rows as there are, or more, are all; so are a few fewer, of which no share can be kept.

    Raises:
        UserError: fewer rows than strata, or a stratum of a single row; it names `setting`.
    """
    counts = np.unique(strata, return_counts=True)[1]
    if rows is None or rows > len(strata) - len(counts):
        return np.arange(len(strata))
    if rows < len(counts) or counts.min() < 2:
        raise UserError(
            f"params.yaml: {setting}: {rows} rows of {len(strata)} cannot keep the shares of "
            f"{len(counts)} groups of rows, the smallest of {counts.min()}; take more"
        )
    from sklearn.model_selection import (
        train_test_split,
    )  # seconds, that a bad file need not wait for

    chosen, _ = train_test_split(
        np.arange(len(strata)), train_size=rows, stratify=strata, random_state=seed
    )
    return np.sort(chosen)


def assign_folds(labels: np.ndarray, folds: int, seed: int) -> np.ndarray:
    """The fold of each row, uint8 (rows,): stratified, shuffled by the seed."""
    present, counts = np.unique(labels, return_counts=True)
    if counts.min() < folds:
        rarest = present[counts.argmin()]
        raise UserError(
            f"params.yaml: preprocess.folds: {folds} folds, but label {rarest} "
            f"has only {counts.min()} rows; take fewer folds"
        )
    from sklearn.model_selection import (
        StratifiedKFold,
    )  # seconds, that a bad file need not wait for

    fold_of_row = np.empty(len(labels), np.uint8)
    splitter = StratifiedKFold(folds, shuffle=True, random_state=seed)
    for fold, (_, held_out) in enumerate(splitter.split(labels, labels)):
        fold_of_row[held_out] = fold
    return fold_of_row


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


def make_arrays(competition: Competition, options: Preprocess, seed: int) -> dict[str, Any]:
    """Read the CSV files, write the arrays, return what is worth knowing about the data."""
    images, labels, test_images = read_competition(competition)
    rows = stratified_slice(labels, options.rows, seed, "preprocess.rows")
    images, labels = images[rows], labels[rows]
    folds = assign_folds(labels, options.folds, seed)  # all checks come before the first file
    write_array(ARRAYS / "train_images.npy", images)
    write_array(ARRAYS / "train_labels.npy", labels)
    write_array(ARRAYS / "test_images.npy", test_images)
    write_array(ARRAYS / "folds.npy", folds)
    return {
        "train_rows": len(images),
        "test_rows": len(test_images),
        "label_counts": np.bincount(labels, minlength=competition.classes).tolist(),
        "missing_values": 0,  # read_bytes refuses any
        **count_duplicates(images, test_images),
    }


def main() -> None:
    """Turn data/raw/*.csv, checked cell by cell, into data/arrays/*.npy."""
    settings = load_settings()
    with stage("preprocess"):
        remove_unfinished(ARRAYS)
        report = make_arrays(settings.competition, settings.preprocess, settings.seed)
        write_json(ARRAYS / "report.json", report)
    table = Table("label", *map(str, range(settings.competition.classes)), box=None)
    table.add_row("rows", *(f"{count:,}" for count in report["label_counts"]))
    console.print(table)
    say(
        f"{report['train_rows']:,} train rows in {settings.preprocess.folds} stratified folds, "
        f"{report['test_rows']:,} test rows, no missing value; exact duplicates: "
        f"{report['duplicates_within_train']} within train, "
        f"{report['duplicates_of_train_in_test']} of train rows in test"
    )


if __name__ == "__main__":
    run_command(main)
