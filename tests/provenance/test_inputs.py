"""The short form of `make chaos`: a kill of each kind, and bit rot, where no training is needed."""

import os
import shutil
import subprocess
import sys
from pathlib import Path
from random import Random

import pytest

from chaos.kills import Kill, survive
from chaos.rot import flip, unlink
from chaos.workshop import Workshop
from pipeline.base.digests import md5_file
from pipeline.base.errors import UserError
from pipeline.base.files import remove_unfinished
from pipeline.health.check import LOCK, clear_lock
from pipeline.provenance.inputs import check_inputs
from support.project import REPOSITORY, write_yaml


@pytest.fixture(scope="module")
def shop(tmp_path_factory: pytest.TempPathFactory) -> Workshop:
    """A workshop whose undisturbed run is that of the two stages without TensorFlow and MLflow."""
    made = Workshop(tmp_path_factory.mktemp("chaos"), Random(0), stages=("download", "preprocess"))
    made.make_base()
    return made


@pytest.mark.parametrize(
    "kill",
    [
        Kill("download", "SIGKILL", "stage", "write", 0.3),
        pytest.param(Kill("download", "SIGTERM", "dvc", "time", 0.6), marks=pytest.mark.slow),
        pytest.param(Kill("preprocess", "SIGINT", "group", "time", 0.9), marks=pytest.mark.slow),
    ],
    ids=lambda kill: f"{kill.signal}-{kill.victim}",
)
def test_after_a_kill_the_next_run_ends_as_an_undisturbed_one(shop: Workshop, kill: Kill) -> None:
    survive(shop, kill)


@pytest.mark.slow
def test_a_flipped_bit_that_dvc_cannot_see_is_noticed_before_it_is_used(shop: Workshop) -> None:
    with shop.project("preprocess") as project:
        rotten = project.path / "data/raw/train.csv"
        unlink(rotten)
        project.run("dvc", "status", "-q", "preprocess")
        flip(rotten, Random(0))
        code, printed = project.run("dvc", "repro", "preprocess")
        assert code != 0
        assert "error: data/raw/train.csv: not what download wrote (dvc.lock)" in printed
        assert not (project.path / "data/arrays/train_images.npy").exists()
        assert "delete it and `dvc repro -f -s download` makes it again" in printed
        rotten.unlink()  # as told: no file of a user's is replaced
        project.repro("-f", "-s", "download", "preprocess")
        project.check_so_far()


def test_what_a_stage_reads_is_held_against_what_the_last_one_wrote(
    project: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = project / "data/arrays"
    folder.mkdir(parents=True)
    for name in ("a.npy", "b.npy"):
        (folder / name).write_bytes(name.encode())
    listed = [{"md5": md5_file(folder / name), "relpath": name} for name in ("a.npy", "b.npy")]
    known = '[{"md5": "%s", "relpath": "a.npy"}, {"md5": "%s", "relpath": "b.npy"}]'
    text = known % tuple(each["md5"] for each in listed)
    (project / "list").write_text(text)
    digest = md5_file(project / "list") + ".dir"
    write_yaml(project / "dvc.yaml", {"stages": {
        "preprocess": {"deps": []}, "train": {"do": {"deps": ["data/arrays", "tune/${item}.yaml"]}},
    }})  # fmt: skip
    out = {"path": "data/arrays", "hash": "md5", "md5": digest}
    gone = {"path": "data/arrays", "hash": "md5", "md5": "of a recipe that is no longer listed"}
    locked = {"preprocess": {"outs": [out]}, "train@gone": {"outs": [gone]}}
    write_yaml(project / "dvc.lock", {"stages": locked})
    monkeypatch.setenv("DVC_STAGE", "train@tiny")
    check_inputs()
    flip(folder / "b.npy", Random(1))
    with pytest.raises(UserError, match=r"^data/arrays: not what preprocess wrote"):
        check_inputs()
    place = project / f".dvc/cache/files/md5/{digest[:2]}/{digest[2:]}"
    place.parent.mkdir(parents=True)
    shutil.copy(project / "list", place)
    with pytest.raises(UserError, match=r"data/arrays/b.npy: .*`dvc repro -f -s preprocess` makes"):
        check_inputs()
    monkeypatch.delenv("DVC_STAGE")
    check_inputs()  # by hand: whoever changed a file did so on purpose


def test_what_a_killed_stage_was_writing_is_cleared_away(tmp_path: Path) -> None:
    for name in (".train-ab_12cde.csv", "train.csv", ".hidden"):
        (tmp_path / name).touch()
    remove_unfinished(tmp_path)
    assert {path.name for path in tmp_path.iterdir()} == {".hidden", "train.csv"}


def test_a_lock_of_dvcs_that_a_kill_cut_short_is_cleared_and_a_whole_one_stays(
    project: Path,
) -> None:
    LOCK.parent.mkdir(parents=True)
    for content, stays in (('{"read": {}}', True), ('{"read": {"da', False), ("", False)):
        LOCK.write_text(content)
        clear_lock()
        assert LOCK.exists() == stays


WRITE = """
import resource, sys
from pathlib import Path
import numpy as np
from pipeline.base import files
from pipeline.data import csv_files
resource.setrlimit(resource.RLIMIT_FSIZE, (4096, 4096))
for write in (
    lambda: files.write_array(Path("a.npy"), np.zeros(9999)),
    lambda: files.write_text(Path("a.txt"), "a" * 9999),
    lambda: csv_files.write_csv(Path("a.csv"), {"a": np.arange(9999)}),
):
    try:
        write()
    except OSError as error:
        print(error.filename)
"""


def test_a_file_that_there_is_no_room_for_is_named_and_nothing_of_it_is_left(
    tmp_path: Path,
) -> None:
    result = subprocess.run(
        [sys.executable, "-c", WRITE], cwd=tmp_path, env=os.environ | {"PYTHONPATH": str(REPOSITORY)},
        capture_output=True, text=True, check=True,
    )  # fmt: skip
    assert result.stdout.split() == ["a.npy", "a.txt", "a.csv"]
    assert list(tmp_path.iterdir()) == []
