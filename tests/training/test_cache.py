import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from pipeline.base.digests import sha256_code
from pipeline.base.errors import UserError
from pipeline.base.hardware import keras
from pipeline.base.paths import CACHE
from pipeline.base.settings import load_settings
from pipeline.data.arrays import load_data
from pipeline.network.checkpoint import Epoch
from pipeline.network.task import Task
from pipeline.network.way import Way
from pipeline.recipes.files import load_recipe
from pipeline.recipes.recipe import Canvas
from pipeline.training import cache, cached
from pipeline.training.cache import Result, run_tasks
from pipeline.training.fingerprint import NETWORK, fingerprint, network_code
from pipeline.training.folds import fold_tasks
from support.project import REPOSITORY
from support.tasks import task


def run(*tasks: Task) -> tuple[list[Result], int]:
    """The results, and how many epochs had to be run."""
    epochs: list[object] = []
    results = list(run_tasks(tasks, load_data(), lambda _task, history: epochs.append(history)))
    return results, len(epochs)


def test_a_finished_fold_is_not_trained_again(arrays: Path) -> None:
    (first,), trained = run(task())
    (again,), trained_again = run(task())
    assert (trained, trained_again) == (2, 0)
    assert np.array_equal(first.probabilities, again.probabilities)
    assert np.array_equal(first.test_probabilities, again.test_probabilities)
    assert first.history == again.history


def test_each_row_is_predicted_by_the_model_that_did_not_see_it(arrays: Path) -> None:
    results, _ = run(task(fold=0), task(fold=1))
    folds = np.load("data/arrays/folds.npy")
    for fold, result in enumerate(results):
        assert np.array_equal(result.held_out, np.flatnonzero(folds == fold))
        model = keras.models.load_model(result.model)
        images = np.load("data/arrays/train_images.npy")[folds == fold]
        np.testing.assert_allclose(
            model.predict(images, verbose=0), result.probabilities, atol=1e-6
        )
        assert result.test_probabilities.shape == (50, 10)
        np.testing.assert_allclose(result.test_probabilities.sum(axis=1), 1, atol=1e-5)


def test_changing_a_held_out_row_changes_no_weight(arrays: Path) -> None:
    (before,), _ = run(task())
    images = np.load("data/arrays/train_images.npy")
    labels = np.load("data/arrays/train_labels.npy")
    images[before.held_out] = 255 - images[before.held_out]
    labels[before.held_out] = 0
    np.save("data/arrays/train_images.npy", images)
    np.save("data/arrays/train_labels.npy", labels)
    (after,), trained = run(task())
    assert trained == 2  # other data: not taken from the cache
    assert np.array_equal(before.test_probabilities, after.test_probabilities)


def test_what_decides_a_result_decides_its_name(arrays: Path) -> None:
    tiny, data = load_recipe("tiny"), load_data()
    names = {
        fingerprint(each, data)
        for each in (
            task(),
            task(seed=1),
            task(fold=1),
            task(epochs=3),
            task(way=Way("mixed_bfloat16", "faster")),
            task(rows=tuple(range(100))),
            task(test=False),
            task(repeat=1),
            task(recipe=tiny.model_copy(update={"batch_size": 16})),
        )
    }
    assert len(names) == 9
    talk = tiny.model_copy(update={"description": "other words", "search": {}})
    assert fingerprint(task(recipe=talk), data) == fingerprint(task(), data)


def test_a_task_on_a_slice_sees_the_slice_alone(arrays: Path) -> None:
    rows = tuple(range(0, 200, 2))
    (result,), _ = run(task(rows=rows, test=False))
    assert set(result.held_out) < set(rows)
    assert not result.model.exists()


@pytest.mark.parametrize(
    "name",
    [
        "probabilities.npy",
        "done.json",
        pytest.param("test.npy", marks=pytest.mark.slow),
        pytest.param("model.keras", marks=pytest.mark.slow),
    ],
)
def test_a_damaged_fold_is_noticed_and_trained_again(
    arrays: Path, name: str, capsys: pytest.CaptureFixture[str]
) -> None:
    (first,), _ = run(task())
    expected = first.probabilities.copy()  # it is mapped from the file
    file = CACHE / first.fingerprint / name
    content = bytearray(file.read_bytes())
    content[-5] ^= 64
    file.write_bytes(content)
    (again,), trained = run(task())
    assert trained == 2
    assert "is damaged; training that fold again" in capsys.readouterr().err
    assert np.array_equal(expected, again.probabilities)


@pytest.mark.slow
def test_a_large_process_starts_anew(arrays: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    started: list[object] = []
    monkeypatch.setattr(os, "execv", lambda *command: started.append(command))
    run(task())
    assert not started
    monkeypatch.setattr(cache, "MEMORY_LIMIT", 1)
    run(task())  # finished before: nothing to train, nothing to start
    assert not started
    run(task(fold=1))
    assert started == [(sys.executable, sys.orig_argv)]


@pytest.mark.slow
def test_a_task_learns_from_its_slice_alone(arrays: Path) -> None:
    rows = tuple(range(0, 200, 2))
    (before,), _ = run(task(rows=rows))
    expected = before.test_probabilities.copy()
    images = np.load("data/arrays/train_images.npy")
    images[1::2] = 255 - images[1::2]
    np.save("data/arrays/train_images.npy", images)
    (after,), trained = run(task(rows=rows))
    assert trained == 2
    assert np.array_equal(expected, after.test_probabilities)


def test_missing_and_damaged_arrays_are_named(arrays: Path) -> None:
    folds = Path("data/arrays/folds.npy")
    np.save(folds, np.zeros(3, np.uint8))
    with pytest.raises(UserError, match=r"data/arrays: arrays of different lengths"):
        load_data()
    folds.write_bytes(folds.read_bytes()[:90])
    with pytest.raises(UserError, match=r"folds.npy is damaged .*; delete it and run `dvc repro`"):
        load_data()
    folds.unlink()
    with pytest.raises(UserError, match=r"folds.npy is missing; `dvc repro` makes it"):
        load_data()


def test_comments_and_docstrings_do_not_rename_a_result() -> None:
    code = sha256_code("def f(x):\n    return x + 1\n")
    assert sha256_code('"""Why."""\ndef f(x):\n    """What."""\n    return x+1  # so\n') == code
    assert sha256_code("def f(x):\n    return x + 2\n") != code
    # The same by every Python: 3.12 and 3.13 write a tree otherwise than 3.11.
    assert code == "3e98781887e5df6116fea4de03e5f2cc33862eb120ca8a9aa0a9aeec6787301f"


def test_any_code_in_network_renames_a_result_and_a_comment_does_not(tmp_path: Path) -> None:
    code = {}
    for name, file, line in (("same", "fit.py", "# why\n"), ("changed", "fit.py", "NEW = 1\n"),
                             ("more", "deeper/new.py", "NEW = 1\n")):  # fmt: skip
        shutil.copytree(NETWORK, tmp_path / name)
        (tmp_path / name / "deeper").mkdir()
        with (tmp_path / name / file).open("a") as changed:
            changed.write(line)
        code[name] = network_code(tmp_path / name)
    assert code["same"] == network_code()
    assert code["changed"] != network_code() != code["more"]


def test_with_no_fold_held_out_all_rows_are_learned_from(arrays: Path) -> None:
    (result,), trained = run(task(fold=99))
    assert trained == 2
    assert result.probabilities.shape == (0, 10)
    assert result.test_probabilities.shape == (50, 10)
    assert "val_loss" not in result.history[0]


@pytest.mark.slow
def test_a_refit_goes_on_with_the_rows_held_out_but_judges_none_of_them(arrays: Path) -> None:
    tiny = load_recipe("tiny")
    refit = tiny.model_copy(update={"refit": True})
    (plain,), _ = run(task(recipe=tiny))
    (again,), trained = run(task(recipe=refit))
    assert trained == 4
    assert [row["epoch"] for row in again.history] == [1, 2, 3, 4]
    assert np.array_equal(plain.probabilities, again.probabilities)
    assert not np.array_equal(plain.test_probabilities, again.test_probabilities)


@pytest.mark.slow
def test_a_refit_that_was_killed_ends_as_if_undisturbed(arrays: Path) -> None:
    refit = load_recipe("tiny").model_copy(update={"refit": True})
    (whole,), _ = run(task(recipe=refit))
    expected = whole.test_probabilities.copy()
    shutil.rmtree(CACHE)
    for epoch in (1, 2, 3):
        seen: list[int] = []

        def stop(_task: Task, history: list[Epoch], seen: list[int] = seen) -> None:
            seen.append(len(history))
            raise KeyboardInterrupt

        with pytest.raises(KeyboardInterrupt):
            list(run_tasks([task(recipe=refit)], load_data(), stop))
        assert seen == [epoch]
    (resumed,), trained = run(task(recipe=refit))
    assert trained == 1
    assert np.array_equal(expected, resumed.test_probabilities)


@pytest.mark.slow
def test_each_image_has_its_own_place_on_the_canvas_whatever_rows_are_asked_for(
    arrays: Path,
) -> None:
    recipe = load_recipe("tiny").model_copy(update={"canvas": Canvas(height=40, width=56)})
    each, data = task(recipe=recipe), load_data()
    placed = each.images(data, np.arange(200))[:]
    assert placed.shape == (200, 40, 56, 1)
    assert np.array_equal(each.images(data, np.array([7, 150]))[:], placed[[7, 150]])
    places = []
    for image, whole in zip(data.train_images, placed, strict=True):
        found = [
            (top, left)
            for top in range(12)
            for left in range(28)
            if np.array_equal(whole[top : top + 28, left : left + 28], image)
        ]
        assert whole.sum() == image.sum()
        places += found[:1]
    assert len(places) == 200
    assert {top for top, _ in places} == set(range(12))
    assert len({left for _, left in places}) > 20
    (result,), _ = run(each)
    assert keras.models.load_model(result.model).input_shape == (None, 40, 56, 1)


TRAIN = """
from pipeline.data.arrays import load_data
from pipeline.training.cache import run_tasks
from support.project import REPOSITORY
from support.tasks import task
print("ready", flush=True)
input()
data = load_data()
for result in run_tasks([task(epochs=60)], data, lambda _, history: print("epoch", flush=True)):
    print("mean", result.test_probabilities.mean(axis=0).tolist(), flush=True)
"""


@pytest.mark.slow
def test_two_commands_that_need_the_same_fold_train_it_once(arrays: Path) -> None:
    """As `make tune` beside `dvc repro`, whose stages have other names and so other locks."""
    environment = os.environ | {"PYTHONPATH": f"{REPOSITORY}{os.pathsep}{REPOSITORY / 'tests'}"}
    both = [
        subprocess.Popen(
            [sys.executable, "-c", TRAIN], stdin=subprocess.PIPE, stdout=subprocess.PIPE,
            text=True, env=environment,
        )
        for _ in range(2)
    ]  # fmt: skip
    for each in both:
        assert each.stdout
        assert each.stdout.readline() == "ready\n"
    outputs = []
    for each in both:
        assert each.stdin
        each.stdin.write("\n")
        each.stdin.close()
    for each in both:
        assert each.stdout
        outputs.append(each.stdout.read())
        each.stdout.close()
        assert each.wait() == 0
    assert sum(output.count("epoch") for output in outputs) == 60
    assert outputs[0].splitlines()[-1] == outputs[1].splitlines()[-1]


def test_how_many_networks_are_trained_already_is_known(
    arrays: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    cached.main()
    assert json.loads(capsys.readouterr().out) == {"tiny": 0}
    data, settings = load_data(), load_settings()
    tasks = fold_tasks(settings, "tiny", load_recipe("tiny"), len(data.classes))
    list(run_tasks(tasks[:1], data))
    capsys.readouterr()
    cached.main()
    assert json.loads(capsys.readouterr().out) == {"tiny": 1}
