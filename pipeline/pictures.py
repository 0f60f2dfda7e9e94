"""The run's pictures, drawn once into experiments/ensemble/, for MLflow, DVC and the report."""

from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Literal

import numpy as np
import pandas as pd
from sklearn.metrics import confusion_matrix

from pipeline import findings, plots, plots_scores
from pipeline.files import ARRAYS, BLENDED, read_array, replacing, write_json
from pipeline.noise import suspects
from pipeline.scores import accuracy, interval

SHOWN = 30  # images in a grid
SAMPLES = 12  # images of each class


@dataclass(frozen=True)
class Predictions:
    """What the members and their blend said, of rows they did not see."""

    names: tuple[str, ...]
    members: np.ndarray  # float (members, rows, classes)
    added: list[tuple[str, np.ndarray]]  # each member, and the blend, (rows, classes), so far
    oof: np.ndarray  # float (rows, classes), the blend
    test: np.ndarray  # float (test rows, classes)
    labels: np.ndarray  # int (rows,)
    folds: np.ndarray  # int (rows,)
    judged: np.ndarray  # bool (rows,), the rows that scores are of


@dataclass(frozen=True)
class Picture:
    """One of them, as the report shows it."""

    file: str
    title: str
    caption: str
    about: Literal["data", "predictions"]


def draw(said: Predictions) -> list[Path]:
    """Write every picture, what DVC's own plots need, and pictures.json, which says what is what.

    Returns:
        The pictures' paths, in the order to show them. What dvc.yaml lists is always drawn: of a
        picture that is missing DVC warns.
    """
    images = read_array(ARRAYS / "train_images.npy")
    members = _members(said, images)
    shown = [
        *_data(said, images),
        *_scores(said),
        *_errors(said, images),
        *(members if len(said.names) > 1 else ()),  # of one alone there is nothing to see
        _uncertain(said),
    ]
    write_json(BLENDED / "pictures.json", [asdict(each) for each in shown])
    return [BLENDED / each.file for each in shown]


def _write_csv(name: str, table: pd.DataFrame) -> None:
    with replacing(BLENDED / name) as temporary:
        table.to_csv(temporary, index=False, lineterminator="\n")


def _data(said: Predictions, images: np.ndarray) -> list[Picture]:
    classes = said.oof.shape[1]
    of_class = findings.first_of_each(said.labels, classes, SAMPLES)
    rows = {str(label): images[chosen] for label, chosen in of_class.items()}
    plots.mosaic(rows, BLENDED / "digits.png", "Training images, by label")
    counts = findings.label_counts(said.labels, said.folds, classes)
    title = f"{len(said.labels):,} training rows by label and fold"
    plots_scores.label_counts(counts, BLENDED / "label_counts.png", title)
    spread = f"{counts.sum(0).min():,} to {counts.sum(0).max():,} rows a label"
    return [
        Picture("digits.png", "Training images", "The first images of each label.", "data"),
        Picture(
            "label_counts.png",
            "Label counts",
            f"{spread}; {len(counts)} folds, each part of a bar one of them, with equal shares.",
            "data",
        ),
    ]


def _scores(said: Predictions) -> list[Picture]:
    oof, labels = said.oof[said.judged], said.labels[said.judged]
    predicted = oof.argmax(axis=1)
    _write_csv("predictions.csv", pd.DataFrame({"actual": labels, "predicted": predicted}))
    counts = confusion_matrix(labels, predicted, labels=range(oof.shape[1]))
    wrong = f"{(predicted != labels).sum():,} errors in {len(labels):,} out-of-fold predictions"
    plots_scores.confusion_matrix(counts, BLENDED / "confusion.png", wrong)
    table = findings.class_accuracy(counts)
    title = "Accuracy of each class, out-of-fold"
    plots_scores.class_accuracy(table, accuracy(oof, labels), BLENDED / "class_accuracy.png", title)
    bins, error = findings.calibration(oof, labels)
    title = f"How sure, how right: expected calibration error {error:.4f}"
    plots_scores.calibration(bins, BLENDED / "calibration.png", title)
    worst = table.iloc[0]
    mean = oof.max(axis=1).mean()
    return [
        Picture(
            "confusion.png",
            "Confusion matrix",
            f"{wrong}. Each cell: count, and share of its label's rows; the redder, the more.",
            "predictions",
        ),
        Picture(
            "class_accuracy.png",
            "Accuracy by class",
            f"The hardest is {worst.label:.0f}: {worst.accuracy:.4f}. Where intervals overlap, "
            "the order may be chance.",
            "predictions",
        ),
        Picture(
            "calibration.png",
            "Calibration",
            f"Mean confidence {mean:.4f}, accuracy {accuracy(oof, labels):.4f}: the predictions "
            f"are {'surer' if mean > accuracy(oof, labels) else 'less sure'} than they are right. "
            f"Expected calibration error {error:.4f}, of {findings.CALIBRATION_BINS} bins.",
            "predictions",
        ),
    ]


def _errors(said: Predictions, images: np.ndarray) -> list[Picture]:
    predicted = said.oof.argmax(axis=1)
    worst = findings.worst_errors(said.oof, said.labels)
    captions = [
        f"row {row}\nlabel {said.labels[row]}: {said.oof[row, said.labels[row]]:.2f}\n"
        f"said {predicted[row]}: {said.oof[row, predicted[row]]:.2f}"
        for row in worst[:SHOWN]
    ]
    title = f"Of {len(worst):,} errors those with the widest gap, widest first"
    plots.images(images[worst[:SHOWN]], captions, BLENDED / "worst_errors.png", title)
    table = suspects(said.oof, said.labels)
    _write_csv("suspects.csv", table)
    first = table.head(SHOWN)
    captions = [
        f"row {each.row}\nlabel {each.label}, or {each.predicted}?"
        for each in first.itertuples(index=False)
    ]
    title = f"{len(table):,} labels that may be wrong, most suspect first"
    plots.images(images[first["row"]], captions, BLENDED / "suspects.png", title)
    return [
        Picture(
            "worst_errors.png",
            "Worst errors",
            "By the gap between the predicted class's probability and the label's. "
            f"Errors in all rows: {len(worst):,} of {len(said.labels):,}.",
            "predictions",
        ),
        Picture(
            "suspects.png",
            "Labels in doubt",
            f"Confident learning finds {len(table):,} rows whose out-of-fold probability for "
            "another class is as high as that class's own rows have on average. All of them are "
            f"in {BLENDED / 'suspects.csv'}, by their places in data/arrays, from 0.",
            "predictions",
        ),
    ]


def _members(said: Predictions, images: np.ndarray) -> list[Picture]:
    apart = findings.disagreements(said.members)
    captions = [
        f"row {row}, label {said.labels[row]}\n"
        + "\n".join(
            f"{name[:14]}: {probabilities[row].argmax()}"
            for name, probabilities in list(zip(said.names, said.members, strict=True))[:4]
        )
        for row in apart[: SHOWN // 2]
    ]
    title = f"{len(apart):,} rows that members label differently, furthest apart first"
    plots.images(
        images[apart[: SHOWN // 2]], captions, BLENDED / "disagreements.png", title, across=5
    )
    right = (said.oof[apart].argmax(axis=1) == said.labels[apart]).mean() if len(apart) else 1.0
    labels = said.labels[said.judged]
    so_far = [oof[said.judged] for _, oof in said.added]
    plots_scores.members_added(
        [name for name, _ in said.added],
        [(accuracy(oof, labels), *interval(oof, labels)) for oof in so_far],
        BLENDED / "members_added.png",
        "The blend as members are added, heaviest first",
    )
    return [
        Picture(
            "disagreements.png",
            "Where members disagree",
            f"{len(apart):,} of {len(said.labels):,} rows; the blend has {right:.0%} of them "
            "right.",
            "predictions",
        ),
        Picture(
            "members_added.png",
            "Accuracy against members",
            "Each blend's weights are chosen on the other folds. Overlapping intervals: of the "
            "same rows, so a smaller difference than they suggest may be real.",
            "predictions",
        ),
    ]


def _uncertain(said: Predictions) -> Picture:
    images = read_array(ARRAYS / "test_images.npy")
    chosen = findings.least_certain(said.test)[:SHOWN]
    captions = []
    for row in chosen:
        second, first = said.test[row].argsort()[-2:]
        captions.append(
            f"test row {row + 1}\n{first}: {said.test[row, first]:.2f}\n"
            f"{second}: {said.test[row, second]:.2f}"
        )
    title = "Test images, least certain first: the two likeliest labels"
    plots.images(images[chosen], captions, BLENDED / "least_certain.png", title)
    unsure = (said.test.max(axis=1) < 0.5).sum()
    return Picture(
        "least_certain.png",
        "Least certain predictions",
        f"Of {len(said.test):,} test rows, {unsure:,} have no class with a probability of half. "
        "Rows are counted from 1, as in the submission.",
        "predictions",
    )
