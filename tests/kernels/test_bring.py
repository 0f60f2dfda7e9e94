"""What comes from Kaggle into the cache: folds that are whole, of this data, and nothing else."""

import json
import zipfile
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from pipeline.base.errors import UserError
from pipeline.base.paths import CACHE
from pipeline.data.arrays import Data, load_data
from pipeline.kernels import bring
from pipeline.kernels.bring import bring_folds
from pipeline.kernels.kernel import MACHINE
from pipeline.network.task import Task
from pipeline.training.cache import in_cache, run_tasks
from pipeline.training.fingerprint import fingerprint
from pipeline.training.machine import Machine, here
from support.tasks import task


def both() -> list[Task]:
    return [task(fold=fold) for fold in (0, 1)]


def elsewhere() -> Machine:
    """Another machine that has the same bits."""
    return replace(here(), description=here().description | {"gpus": ["Tesla T4"]})


@pytest.fixture
def folds(arrays: Path) -> tuple[Path, Data]:
    """The zip of two folds that another machine has trained."""
    data, path = load_data(), arrays / "folds.zip"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr(MACHINE, json.dumps(elsewhere().plain()))
        for each, result in zip(both(), run_tasks(both(), data), strict=True):
            name, folder = fingerprint(each, data, elsewhere()), CACHE / result.fingerprint
            for file in ("probabilities.npy", "test.npy", "model.keras", "done.json"):
                archive.write(folder / file, f"{name}/{file}")
            folder.rename(f"{folder}.here")
    return path, data


def test_folds_are_kept_under_their_own_machine_and_not_trained_again(
    folds: tuple[Path, Data],
) -> None:
    path, data = folds
    assert not any(in_cache(each, data) for each in both())
    assert bring_folds(path, both(), data) == 2
    heard: list[Any] = []
    results = list(run_tasks(both(), data, lambda *said: heard.append(said)))
    assert not heard
    for each, result in zip(both(), results, strict=True):
        assert result.machine["gpus"] == ["Tesla T4"]
        mine = CACHE / f"{fingerprint(each, data)}.here/probabilities.npy"
        assert mine.read_bytes() == (CACHE / result.fingerprint / mine.name).read_bytes()


def changed(path: Path, name: str, content: bytes) -> None:
    """Write the zip again with one member replaced or added."""
    with zipfile.ZipFile(path) as archive:
        members = {each: archive.read(each) for each in archive.namelist()}
    with zipfile.ZipFile(path, "w") as archive:
        for each, kept in (members | {name: content}).items():
            archive.writestr(each, kept)


def test_strange_names_damage_and_other_data_are_refused_and_nothing_is_kept(
    folds: tuple[Path, Data], monkeypatch: pytest.MonkeyPatch
) -> None:
    path, data = folds
    whole = path.read_bytes()
    for name in ("../escaped.npy", "/escaped.npy", "folder/x.npy", "x.py"):
        changed(path, name, b"x")
        refuses(path, data, "nothing was kept")
        path.write_bytes(whole)
    other = replace(data, train_labels=data.train_labels[::-1].copy())
    refuses(path, other, "of other data or settings")
    changed(path, f"{fingerprint(both()[0], data, elsewhere())}/test.npy", b"x" * 100)
    refuses(path, data, "is damaged")
    path.write_bytes(whole[: len(whole) // 2])
    refuses(path, data, "damaged")
    path.write_bytes(whole)
    monkeypatch.setattr(bring, "LIMIT", 100)
    refuses(path, data, "unpacks to over 100 bytes")


def refuses(path: Path, data: Data, why: str) -> None:
    with pytest.raises(UserError, match=why):
        bring_folds(path, both(), data)
    assert not in_cache(both()[0], data)
