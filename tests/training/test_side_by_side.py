"""Helpers change how long a training takes, and nothing that comes of it."""

import contextlib
import dataclasses
import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import Any

import numpy as np
import psutil
import pytest

from pipeline.base.files import write_json
from pipeline.base.paths import CACHE
from pipeline.base.settings import load_settings
from pipeline.data.arrays import load_data
from pipeline.training import side_by_side
from pipeline.training.cache import run_tasks
from pipeline.training.fingerprint import fingerprint
from pipeline.training.progress import Progress, later_seconds
from pipeline.training.side_by_side import Team, workers
from support.project import REPOSITORY
from support.tasks import task


def run_side_by_side(jobs: list[Any], at_once: int, report: Any) -> list[Any]:
    with Team(at_once) as team:
        return list(team.results(jobs, report))


def helpers() -> list[psutil.Process]:
    found = []
    for child in psutil.Process().children():
        with contextlib.suppress(psutil.ZombieProcess):  # one that is killed, and not yet joined
            found += [child] if "--multiprocessing-fork" in child.cmdline() else []
    return found


@pytest.mark.slow
def test_two_at_a_time_make_the_same_as_one(
    arrays: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    tasks = [task(fold=fold, epochs=40) for fold in (0, 1)]
    by_whom: dict[int, bool] = {}
    progress = Progress("tiny", 2, 40, 2, learned=100)

    def report(each: Any, history: Any) -> None:
        progress(each, history)
        here = threading.current_thread() is threading.main_thread()
        by_whom[tasks.index(each)] = here
        time.sleep(0.3 if all(by_whom.values()) else 0)  # until the helper has begun

    data = load_data()
    together = run_side_by_side([(each, data) for each in tasks], 2, report)
    assert sorted(by_whom) == [0, 1]
    assert set(by_whom.values()) == {True, False}
    assert not helpers()
    progress.finished(tasks[0], wrong=3, rows=100)
    progress.finished(tasks[1], wrong=1, rows=100)
    output = capfd.readouterr().out
    assert "tiny fold 1 of 2: accuracy 0.97000, 3 errors of 100 held-out rows\n" in output
    assert "0.99000, 1 errors of 100 held-out rows; so far 0.98000, 4 of 200\n" in output
    folders = sorted(path for path in CACHE.iterdir() if path.name != "locks")
    for folder in folders:
        folder.rename(f"{folder}.together")
    alone = list(run_tasks(tasks, data))
    for mine, its in zip(together, alone, strict=True):
        assert mine.fingerprint == its.fingerprint
        assert np.array_equal(mine.held_out, its.held_out)
        again = np.load(f"{CACHE / mine.fingerprint}.together/probabilities.npy")
        assert np.array_equal(again, its.probabilities)


def test_the_time_left_is_that_of_all_networks_side_by_side(
    arrays: Path,
    capfd: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("pipeline.training.progress.EVERY", -1.0)
    tasks = [task(fold=fold, epochs=20) for fold in range(6)]
    progress = Progress("tiny", 6, 20, 2, learned=100)
    row = {"loss": 1.0, "accuracy": 0.5, "val_accuracy": 0.5}
    progress(tasks[0], [{"epoch": 1, "seconds": 12.0, **row}])
    assert "left 11:54" in capfd.readouterr().out  # 119 of 120 epochs, two at a time
    progress(tasks[5], [{"epoch": 1, "seconds": 12.0, **row}])
    assert "left 11:48" in capfd.readouterr().out
    write_json(Path("experiments/cache/plan.json"), {"tune": 5, "train@tiny": 100, "ensemble": 60})
    later = later_seconds("train@tiny")
    progress = Progress("tiny", 6, 20, 2, learned=100, predicted=1000, later=later)
    progress(tasks[0], [{"epoch": 1, "seconds": 12.0, **row}])
    # 119 epochs and six predictions of 1,000 rows, three epochs' worth each
    assert "left 13:42, all stages 14:42" in capfd.readouterr().out


def test_what_is_finished_is_not_trained_again_and_needs_no_helper(arrays: Path) -> None:
    data = load_data()
    tasks = [task(fold=0), task(fold=1)]
    list(run_tasks(tasks, data))
    heard: list[Any] = []
    run_side_by_side(
        [(each, data) for each in tasks], 2, lambda *each: heard.append((each, helpers()))
    )
    assert not heard


@pytest.mark.slow
def test_a_helper_that_is_killed_is_gone_on_without(
    arrays: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    tasks = [task(fold=fold, epochs=100) for fold in (0, 1)]
    killed: list[int] = []

    def kill(each: Any, history: Any) -> None:
        time.sleep(0 if killed or each.fold else 0.3)  # until the helper has come so far
        if each.fold == 1 and len(history) >= 3 and helpers() and not killed:
            killed.append(len(history))
            helpers()[0].kill()

    data = load_data()
    results = run_side_by_side([(each, data) for each in tasks], 2, kill)
    assert killed
    assert [len(result.history) for result in results] == [100, 100]
    assert "continuing without it" in capfd.readouterr().err


def test_a_worker_that_dies_at_its_start_is_gone_on_without(
    arrays: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(side_by_side, "work", os._exit)  # in place of a kill, or of no memory
    data = load_data()
    images = np.repeat(data.train_images, 20, axis=1)[:, :28]  # more than a pipe holds
    larger = dataclasses.replace(data, train_images=images)
    jobs = [(task(fold=fold), larger) for fold in (0, 1)]
    assert len(run_side_by_side(jobs, 2, lambda *_: None)) == 2
    assert "a worker stopped before it trained anything" in capfd.readouterr().err


@pytest.mark.slow
def test_a_helper_ends_with_its_leader(arrays: Path) -> None:
    code = (
        "import sys; sys.path.insert(0, sys.argv[1])\n"
        "from support.tasks import task\n"
        "from pipeline.training.side_by_side import Team\n"
        "from pipeline.data.arrays import load_data\n"
        "if __name__ == '__main__':\n"
        "    data = load_data()\n"
        "    jobs = [(task(fold=fold, epochs=5000), data) for fold in (0, 1)]\n"
        "    say = lambda each, _: print(each.fold, flush=True)\n"
        "    list(Team(2).results(jobs, say))\n"
    )
    Path("leader.py").write_text(code)
    environment = os.environ | {"PYTHONPATH": f"{REPOSITORY}{os.pathsep}{REPOSITORY / 'tests'}"}
    leader = subprocess.Popen(
        [sys.executable, "leader.py", str(REPOSITORY / "tests")],
        stdout=subprocess.PIPE,
        text=True,
        env=environment,
    )
    assert leader.stdout
    while leader.stdout.readline() != "1\n":
        assert leader.poll() is None
    children = psutil.Process(leader.pid).children(recursive=True)
    assert children
    leader.send_signal(signal.SIGKILL)
    leader.communicate()
    _, alive = psutil.wait_procs(children, timeout=30)
    assert not alive, [process.cmdline() for process in alive]


@pytest.mark.slow
def test_what_a_helper_cannot_do_is_said_by_the_leader(arrays: Path) -> None:
    tasks, data = [task(fold=0, epochs=60), task(fold=1)], load_data()
    in_the_way = CACHE / f"{fingerprint(tasks[1], data)}.partial"
    in_the_way.parent.mkdir(parents=True)
    in_the_way.touch()
    with pytest.raises(OSError, match=in_the_way.name):
        run_side_by_side([(each, data) for each in tasks], 2, lambda *_: None)
    assert not helpers()


def test_as_many_as_wanted_or_as_the_machine_bears(
    project: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = load_settings()
    assert workers(settings) == 1  # as this project's params.yaml says
    settings = settings.changed(compute={"workers": None})
    monkeypatch.setattr("pipeline.base.room.cores", lambda: 8)
    memory = psutil.virtual_memory()._replace(available=5 * 2**30)
    monkeypatch.setattr(psutil, "virtual_memory", lambda: memory)
    assert workers(settings) == 2
    monkeypatch.setattr("pipeline.training.side_by_side.has_gpu", lambda: True)
    assert workers(settings) == 1
