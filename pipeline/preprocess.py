"""Step 2: the competition's files, checked, as arrays that need no reading again: data/arrays."""

from pathlib import Path
from typing import Any

import numpy as np

from pipeline.base.console import say, warn
from pipeline.base.errors import UserError
from pipeline.base.files import (
    read_array,
    refilling,
    remove_unfinished,
    write_array,
    write_json,
)
from pipeline.base.paths import ARRAYS
from pipeline.base.settings import Settings, load_settings
from pipeline.data.arrays import write_rows
from pipeline.data.csv_files import MEND
from pipeline.data.layouts.reading import Images, by_number, read_competition
from pipeline.data.rows import assign_folds, stratified_slice
from pipeline.data.submission_file import check_classes, strange_cells
from pipeline.provenance.stage import stage

UNFINISHED = ".preprocess-"


def classes_of(labels: list[str]) -> tuple[list[str], np.ndarray]:
    """The classes' names in order, numbers as numbers; each row's class, uint8 or uint16 (rows,).

    Raises:
        UserError: there is only one class.
    """
    classes = sorted({*labels}, key=by_number)
    if len(classes) < 2:
        raise UserError(
            f"data/raw: every label is {classes[0]!r}; at least two classes are needed; {MEND}"
        )
    places = {name: at for at, name in enumerate(classes)}
    kind = np.uint8 if len(classes) <= 256 else np.uint16
    return classes, np.fromiter((places[label] for label in labels), kind, len(labels))


def count_duplicates(train: np.ndarray, test: np.ndarray) -> dict[str, int]:
    """How many images are exact copies: of an earlier train row, and of a train row in test."""

    def keys(images: np.ndarray) -> np.ndarray:
        return np.array([hash(image.tobytes()) for image in images])

    train_keys = keys(train)
    return {
        "duplicates_within_train": len(train_keys) - len(np.unique(train_keys)),
        "duplicates_of_train_in_test": int(np.isin(keys(test), train_keys).sum()),
    }


def keep_rows(images: Images, rows: np.ndarray, path: Path) -> None:
    """Write some of the images, in order, into a file of their own."""
    every = images.map()
    if len(rows) == len(every):
        images.path.rename(path)
        return
    write_rows(path, every, rows)


def make_arrays(settings: Settings, folder: Path) -> dict[str, Any]:
    """Read the files, write the arrays into `folder`, return what is worth knowing of the data."""
    train, test, template = read_competition(settings.competition, folder)
    classes, labels = classes_of(train.labels)
    check_classes(settings.competition, template, classes)
    strange = strange_cells(settings.competition, classes)
    if strange:
        warn(
            f"the sample has {strange}, which are no classes: {', '.join(classes[:5])} will be sent"
        )
    options = settings.preprocess
    rows = stratified_slice(labels, options.rows, settings.seed, "preprocess.rows")
    labels = labels[rows]
    folds = assign_folds(labels, options.folds, settings.seed, classes)
    keep_rows(train, rows, folder / "train_images.npy")
    test.path.rename(folder / "test_images.npy")
    write_array(folder / "train_labels.npy", labels)
    write_array(folder / "folds.npy", folds)
    write_array(folder / "rows.npy", rows + 1)
    write_json(folder / "classes.json", classes)
    template.write(folder)
    if train.names:
        write_json(folder / "names.json", [train.names[row] for row in rows])
    train.path.unlink(missing_ok=True)
    images = [read_array(folder / f"{side}_images.npy") for side in ("train", "test")]
    return {
        "train_rows": len(rows),
        "test_rows": len(images[1]),
        "label_counts": np.bincount(labels, minlength=len(classes)).tolist(),
        "missing_values": 0,  # the readers refuse any
        **count_duplicates(*images),
    }


def main() -> None:
    """Turn the files in data/raw, every one checked, into data/arrays/*.npy."""
    settings = load_settings()
    with stage("preprocess"):
        remove_unfinished(ARRAYS)
        with refilling(ARRAYS, UNFINISHED) as folder:
            report = make_arrays(settings, folder)  # all checks precede the first change
            write_json(folder / "report.json", report)
    counts = report["label_counts"]
    say(f"{len(counts)} classes of {min(counts):,} to {max(counts):,} images")
    say(
        f"{report['train_rows']:,} train images in {settings.preprocess.folds} stratified folds, "
        f"{report['test_rows']:,} test images; exact duplicates: "
        f"{report['duplicates_within_train']} within train, "
        f"{report['duplicates_of_train_in_test']} between train and test"
    )
