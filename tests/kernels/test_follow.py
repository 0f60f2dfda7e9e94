"""A run on Kaggle by the real client: started once, followed, its files fetched; every fault told."""

import hashlib
import json
from pathlib import Path

import pytest

from pipeline.base.settings import Settings, load_settings
from pipeline.kernels import follow
from pipeline.kernels.follow import STATE, fetch, show_quota, start, wait_for
from support.competition import outcome
from support.kaggle_server import SLUG, TOKEN, Kaggle

REF = f"tester/pipeline-folds-{SLUG}"


@pytest.fixture
def settings(kaggle: Kaggle, monkeypatch: pytest.MonkeyPatch) -> Settings:
    monkeypatch.setattr(follow, "POLL", 0.05)
    folds = b"the folds" * 1000
    about = {"work": "abc", "sha256": hashlib.sha256(folds).hexdigest(), "bytes": len(folds)}
    kaggle.output = {"folds.zip": folds, "folds.json": json.dumps(about).encode()}
    return load_settings()


def begin(settings: Settings, digest: str = "abc") -> str:
    return start(settings, "print(1)", digest, "NvidiaTeslaT4", 3600)


def test_a_run_is_started_once_followed_and_its_folds_fetched(
    settings: Settings, kaggle: Kaggle, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    kaggle.statuses = ["QUEUED", "RUNNING"]
    assert begin(settings) == REF
    wait_for(settings, REF)
    assert begin(settings) == REF  # a second call, after Ctrl-C
    (sent,) = kaggle.scripts
    assert sent["competitionDataSources"] == [SLUG]
    assert (sent["isPrivate"], sent["enableGpu"]) == (True, True)
    assert (sent["machineShape"], sent["sessionTimeoutSeconds"]) == ("NvidiaTeslaT4", 3600)
    assert TOKEN not in json.dumps(sent)
    (tmp_path / "got").mkdir()
    came = fetch(settings, REF, "abc", tmp_path / "got")
    assert came.read_bytes() == kaggle.output["folds.zip"]
    output = capsys.readouterr().out
    assert "29:00:00 of 30:00:00 are left this week" in output
    assert "following the run that was started before" in output
    assert begin(settings, "other work") == REF
    assert len(kaggle.scripts) == 2


STARTS = {
    "refused": "Kaggle refuses the script: Maximum batch GPU session count reached",
    "unknown": f"it does not know the competition {SLUG}",
    "lost": "it is unclear whether the run began",
    "403": "a verified phone number",
    "401": "Kaggle refuses the credentials",
}


@pytest.mark.slow
@pytest.mark.parametrize("fault", STARTS)
def test_a_run_that_does_not_start_says_why(settings: Settings, kaggle: Kaggle, fault: str) -> None:
    kaggle.faults["SaveKernel"] = [fault]
    code, said = outcome(lambda: begin(settings))
    assert (code, STARTS[fault] in said) == (1, True), said
    assert not STATE.exists()


@pytest.mark.slow
def test_a_used_up_quota_is_told_before_anything_is_sent(
    settings: Settings, kaggle: Kaggle
) -> None:
    kaggle.used = 108000
    code, said = outcome(lambda: show_quota(settings))
    assert (code, "GPU time of this week is used up" in said) == (1, True)
    assert not kaggle.scripts


@pytest.mark.slow
@pytest.mark.parametrize("status", ["ERROR", "CANCEL_ACKNOWLEDGED", "CANCEL_REQUESTED"])
def test_a_run_that_fails_is_told_with_its_last_words(
    settings: Settings, kaggle: Kaggle, status: str
) -> None:
    begin(settings)
    kaggle.output = {}
    kaggle.statuses = ["RUNNING", status]
    code, said = outcome(lambda: wait_for(settings, REF))
    assert code == 1
    assert f"ended as {status}: its cell no space left" in said
    assert not STATE.exists()  # the same command starts another


@pytest.mark.slow
def test_what_a_run_finished_before_it_failed_is_fetched(
    settings: Settings, kaggle: Kaggle, capsys: pytest.CaptureFixture[str]
) -> None:
    begin(settings)
    kaggle.statuses = ["ERROR"]
    wait_for(settings, REF)
    assert "the networks that it finished are fetched" in capsys.readouterr().err


FETCHES: dict[str, tuple[list[str], str]] = {
    "403 in place of a file": (["forbidden!"], "could not be downloaded from Kaggle (403)"),
    "cut every time": (["cut!"], "could not be downloaded from Kaggle"),
    "500 every time": (["500!"], "could not be downloaded from Kaggle (500)"),
}


@pytest.mark.slow
@pytest.mark.parametrize("fault", FETCHES)
def test_what_is_not_fetched_is_told_and_nothing_else_is_written(
    settings: Settings, kaggle: Kaggle, tmp_path: Path, fault: str
) -> None:
    begin(settings)
    faults, wanted = FETCHES[fault]
    kaggle.faults["GET"] = list(faults)
    code, said = outcome(lambda: fetch(settings, REF, "abc", tmp_path))
    assert (code, wanted in said) == (1, True), said
    assert "planted-signature" not in said
    assert STATE.exists()  # the same command fetches again


@pytest.mark.slow
def test_a_cut_body_is_fetched_again(settings: Settings, kaggle: Kaggle, tmp_path: Path) -> None:
    begin(settings)
    kaggle.faults["GET"] = ["cut", "cut"]
    (tmp_path / "got").mkdir()
    assert fetch(settings, REF, "abc", tmp_path / "got").exists()


@pytest.mark.slow
def test_a_name_that_points_outside_is_not_written(
    settings: Settings, kaggle: Kaggle, tmp_path: Path
) -> None:
    begin(settings)
    kaggle.output["../escaped.txt"] = b"x"
    (tmp_path / "got").mkdir()
    fetch(settings, REF, "abc", tmp_path / "got")
    assert sorted(path.name for path in (tmp_path / "got").iterdir()) == ["folds.json", "folds.zip"]
    assert not (tmp_path / "escaped.txt").exists()


@pytest.mark.slow
def test_files_too_large_of_another_run_damaged_or_missing_are_refused(
    settings: Settings, kaggle: Kaggle, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    begin(settings)
    assert "of other settings" in outcome(lambda: fetch(settings, REF, "x", tmp_path))[1]
    monkeypatch.setattr(follow, "LARGE", 100)
    assert "over 100 bytes" in outcome(lambda: fetch(settings, REF, "abc", tmp_path))[1]
    monkeypatch.setattr(follow, "LARGE", 1 << 30)
    kaggle.output["folds.zip"] = b"others"
    assert "came damaged" in outcome(lambda: fetch(settings, REF, "abc", tmp_path))[1]
    kaggle.output = {"log.txt": b""}
    assert "it left log.txt" in outcome(lambda: fetch(settings, REF, "abc", tmp_path))[1]
