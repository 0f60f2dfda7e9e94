import json
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import pytest
import yaml
from matplotlib.figure import Figure
from matplotlib.text import Text
from PIL import Image

from pipeline.base.settings import load_settings
from pipeline.ensemble import make_blend
from pipeline.evaluation import images, plots, style
from pipeline.evaluation.blend import Blending, added_one_by_one, nested_blend
from pipeline.evaluation.findings import class_accuracy, worst_errors
from pipeline.evaluation.label_noise import suspects
from pipeline.evaluation.metrics import METRICS
from support.project import REPOSITORY, digits, write_yaml

CLIMB = Blending("hill_climb", METRICS["accuracy"])
NAMES = [f"a long name {at}" for at in range(40)]
FOLDER = Path("experiments/ensemble")
PREDICTIONS = {
    "digits", "label_counts", "confusion", "class_accuracy", "calibration", "worst_errors",
    "suspects", "disagreements", "members_added", "least_certain",
}  # fmt: skip


def texts(monkeypatch: pytest.MonkeyPatch) -> list[list[str]]:
    """What is written in each picture, as they are drawn from here on."""
    written: list[list[str]] = []
    save = style.save

    def noting(drawn: Figure, path: Path) -> None:
        drawn.draw_without_rendering()
        written.append([each.get_text() for each in drawn.findobj(Text) if each.get_text()])
        save(drawn, path)

    monkeypatch.setattr(style, "save", noting)
    return written


def test_every_picture_is_there_of_a_size_to_see_and_none_is_blank(finished: Path) -> None:
    assert {path.stem for path in FOLDER.glob("*.png")} == PREDICTIONS
    listed = json.loads((FOLDER / "pictures.json").read_text())
    assert {each["file"] for each in listed} == {f"{name}.png" for name in PREDICTIONS}
    for path in FOLDER.glob("*.png"):
        with Image.open(path) as picture:
            assert picture.format == "PNG"
            assert 600 < picture.width < 1000
            assert 150 < picture.height < 1500
            assert len(np.unique(np.asarray(picture.convert("L")))) > 10
        assert path.stat().st_size < 200_000
    assert not plt.get_fignums()


@pytest.mark.slow
def test_the_same_picture_is_the_same_file(finished: Path) -> None:
    before = {path: path.read_bytes() for path in FOLDER.glob("*.png")}
    make_blend(load_settings())
    assert before == {path: path.read_bytes() for path in FOLDER.glob("*.png")}


def test_dvc_shows_every_picture(finished: Path) -> None:
    listed = yaml.safe_load((REPOSITORY / "dvc.yaml").read_text())["plots"]
    names = {Path(each).stem for each in listed if isinstance(each, str)}
    assert names == PREDICTIONS


@pytest.mark.slow
def test_one_member_alone_has_no_picture_of_members_in_the_report(finished: Path) -> None:
    params = yaml.safe_load(Path("params.yaml").read_text())
    write_yaml(Path("params.yaml"), params | {"recipes": ["tiny"]})
    make_blend(load_settings())
    listed = json.loads((FOLDER / "pictures.json").read_text())
    assert {Path(each["file"]).stem for each in listed} == PREDICTIONS - {
        "disagreements", "members_added"
    }  # fmt: skip
    assert {path.stem for path in FOLDER.glob("*.png")} == PREDICTIONS  # DVC's list is always there


@pytest.mark.slow
def test_the_pictures_say_what_the_predictions_are(
    finished: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    written = texts(monkeypatch)
    make_blend(load_settings())
    of_title = {title: each for each in written for title in each}
    oof, labels = np.load(FOLDER / "oof.npy"), np.load("data/arrays/train_labels.npy")
    wrong = worst_errors(oof, labels)
    said = of_title[f"{len(wrong)} errors, the widest gap first"]
    rows = [int(each.split()[1]) for each in said if each.startswith("row ")]
    assert rows == (wrong[:30] + 1).tolist()  # as in train.csv, from 1
    table = suspects(oof, labels)
    table["row"] += 1  # as in train.csv, from 1
    assert set(table["row"]) >= {6, 56, 106}
    pd.testing.assert_frame_equal(
        pd.read_csv(FOLDER / "suspects.csv"), table, check_dtype=False, check_exact=False
    )
    said = of_title[f"{len(table)} labels that may be wrong, most suspect first"]
    assert [int(each.split()[1]) for each in said if each.startswith("row ")] == list(
        table["row"][:30]
    )
    said = of_title[f"{len(wrong)} errors in 200 out-of-fold predictions"]
    right = (oof.argmax(axis=1) == labels) & (labels == 7)
    assert f"{right.sum()}\n{right.sum() / 20:.2%}" in said
    test = np.load(FOLDER / "test.npy")
    said = of_title["Test images, least certain first: the two most likely labels"]
    assert next(each for each in said if each.startswith("test row")).startswith(
        f"test row {test.max(axis=1).argmin() + 1}\n{test[test.max(axis=1).argmin()].argmax()}: "
    )


def test_members_are_added_heaviest_first_up_to_the_blend(finished: Path) -> None:
    labels, folds = (np.load(f"data/arrays/{name}.npy") for name in ("train_labels", "folds"))
    members = np.stack([np.load(f"experiments/train/{name}/oof.npy") for name in ("tiny", "other")])
    weights = np.array([0.3, 0.7])
    added = added_one_by_one(members, weights, labels, folds, CLIMB)
    assert [position for position, _ in added] == [1, 0]
    np.testing.assert_array_equal(added[0][1], members[1])
    whole = nested_blend(members[::-1], labels, folds, CLIMB)
    np.testing.assert_array_equal(added[1][1], whole)


@pytest.mark.slow
def test_a_run_without_an_error_is_drawn_too(finished: Path) -> None:
    labels = np.load("data/arrays/train_labels.npy")
    for name in ("tiny", "other"):
        np.save(f"experiments/train/{name}/oof.npy", np.eye(10, dtype=np.float32)[labels])
    assert make_blend(load_settings()).cv_accuracy == 1
    assert len(pd.read_csv(FOLDER / "suspects.csv")) == 0


def test_coloured_images_and_many_classes_are_drawn(project: Path) -> None:
    colour = np.repeat(digits(5)[0], 3, axis=3)
    images.images(colour, ["a"] * 5, Path("images.png"), "five")
    images.mosaic({"0": colour[:2], "1": colour}, Path("mosaic.png"), "of unlike length")
    counts = np.eye(40, dtype=int) * 9 + np.eye(40, k=1, dtype=int)
    plots.confusion_matrix(counts, NAMES, Path("confusion.png"), "40 classes")
    plots.class_accuracy(class_accuracy(counts), 0.9, Path("classes.png"), "40 classes")
    for name in ("images", "mosaic", "confusion", "classes"):
        assert Path(f"{name}.png").stat().st_size > 2000


def test_curves_show_a_bad_run_whole(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The accuracy axis is cut to the last per cents, but never below what there is to see."""
    limits = []
    save = style.save

    def noting(drawn: Figure, path: Path) -> None:
        limits.append(drawn.axes[1].get_ylim())
        save(drawn, path)

    monkeypatch.setattr(style, "save", noting)
    for value in (0.1, 0.99):
        rows = [{"fold": 0, "epoch": epoch} | dict.fromkeys(("loss", "val_loss"), 1.0)
                | dict.fromkeys(("accuracy", "val_accuracy"), value) for epoch in (1, 2)]  # fmt: skip
        plots.curves(pd.DataFrame(rows), Path("curves.png"), "x")
    assert limits[0][0] == 0
    assert limits[1][0] == pytest.approx(0.96)
