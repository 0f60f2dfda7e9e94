"""Submissions to Kaggle: sent once, whatever the service and the connection do."""

import csv
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from pipeline import upload
from pipeline.base.settings import load_settings
from pipeline.health import doctor
from pipeline.kaggle.ledger import LEDGER, read_ledger
from pipeline.kaggle.refusals import Refusal
from pipeline.kaggle.service import notebooks_only
from pipeline.provenance.snapshot import revision
from support.competition import git, impatient, make_submission, outcome
from support.kaggle_server import SLUG, TOKEN, Kaggle
from support.project import REPOSITORY, write_yaml
from support.snapshot import Snapshot


def submit(message: str = "try [/old]", **options: Any) -> tuple[int, str]:
    chosen: dict[str, Any] = {"dry_run": False, "force": [], "wait": 5.0} | options
    settings = chosen.pop("settings", None) or load_settings()
    return outcome(lambda: upload.submit(settings, message, **chosen))


SUBMITS: dict[str, tuple[str, list[str]]] = {
    "no fault": ("PUT", []),
    "PUT refused with 503": ("PUT", ["503"]),
    "429 with Retry-After, at the start": ("StartSubmissionUpload", ["429:1"]),
    "500 in place of the answer, not accepted": ("CreateSubmission", ["500"]),
    "reset before it was accepted": ("CreateSubmission", ["reset"]),
    "500 inside an HTTP 200, not accepted": ("CreateSubmission", ["200=500"]),
    "answer lost after it was accepted": ("CreateSubmission", ["lost"]),
    "answer lost, and the list is down at first": ("CreateSubmission", ["lost"]),
}  # fmt: skip


@pytest.mark.slow
@pytest.mark.parametrize("fault", SUBMITS)
def test_it_is_sent_once_whatever_happens(
    kaggle: Kaggle, seen: Snapshot, fault: str, capsys: pytest.CaptureFixture[str]
) -> None:
    make_submission()
    call, faults = SUBMITS[fault]
    kaggle.faults[call] = list(faults)
    if "list is down" in fault:
        kaggle.faults["ListSubmissions"] = ["503"]
    assert submit() == (0, "")
    assert len(kaggle.submissions) == 1
    (row,) = read_ledger()
    assert (row.status, row.reference, row.public_score) == ("complete", "1001", "0.99100")
    assert kaggle.submissions[0]["description"] == row.message
    assert list(kaggle.uploads.values())[-1] == Path("submissions/submission.csv").read_bytes()
    output = capsys.readouterr().out
    assert "public score 0.99100, +0.00100 from CV" in output
    assert "left today" in output
    seen.check("submit", fault, "sent, once; score shown", "0", "complete")


REFUSES: dict[str, tuple[str, list[str], str, str]] = {
    "401": ("StartSubmissionUpload", ["401!"], "Kaggle refuses the credentials (401)", "error"),
    "403, rules not accepted": ("StartSubmissionUpload", ["403!"], "accept the competition's rules", "error"),
    "PUT refused every time": ("PUT", ["503!"], "Kaggle did not accept the file", "error"),
    "answer lost, and the list is down": ("CreateSubmission", ["lost"], "it is unclear whether the submission counted", "unclear"),
}  # fmt: skip


@pytest.mark.slow
@pytest.mark.parametrize("fault", REFUSES)
def test_what_is_not_sent_or_not_known_is_said_and_a_sync_finds_out(
    kaggle: Kaggle, seen: Snapshot, fault: str
) -> None:
    make_submission()
    call, faults, wanted, status = REFUSES[fault]
    kaggle.faults[call] = list(faults)
    if "list is down" in fault:
        kaggle.faults["ListSubmissions"] = ["503!"]
    code, said = submit()
    assert code == 1
    assert wanted in said
    (row,) = read_ledger()
    assert row.status == status
    seen.check("submit", fault, said, "1", status)
    kaggle.faults.clear()
    upload.sync(load_settings())
    (row,) = read_ledger()
    assert row.status == ("complete" if kaggle.submissions else "error")
    if not kaggle.submissions:
        assert submit() == (0, "")
    assert len(kaggle.submissions) == 1


LISTS: dict[str, tuple[str, list[str], str]] = {
    "list: 500 once": ("ListSubmissions", ["500"], ""),
    "list: 429 with Retry-After": ("ListSubmissions", ["429:1"], ""),
    "list: reset once": ("ListSubmissions", ["reset"], ""),
    "list: 401": ("ListSubmissions", ["401!"], "Kaggle refuses the credentials (401)"),
    "list: 404": ("ListSubmissions", ["404!"], f"Kaggle has no competition '{SLUG}' (404)"),
    "list: silence": ("ListSubmissions", ["stall!"], "Kaggle has not answered for 4 s (submissions)"),
    "limits: 503 once": ("GetSubmissionLimits", ["503"], ""),
    "limits: 403": ("GetSubmissionLimits", ["403!"], "accept the competition's rules"),
    "limits: 500 every time": ("GetSubmissionLimits", ["500!"], "Kaggle has a fault (500, limits)"),
    "limits: silence": ("GetSubmissionLimits", ["stall!"], "Kaggle has not answered for 4 s (limits)"),
}  # fmt: skip


@pytest.mark.slow
@pytest.mark.parametrize("fault", LISTS)
def test_asking_without_sending(kaggle: Kaggle, seen: Snapshot, fault: str) -> None:
    make_submission()
    assert submit() == (0, "")
    before = LEDGER.read_bytes()
    call, faults, wanted = LISTS[fault]
    kaggle.faults[call] = list(faults)
    settings = impatient(4) if "silence" in fault else load_settings()
    forced: dict[str, Any] = {"dry_run": True, "force": [Refusal.SENT], "settings": settings}
    code, said = (
        outcome(lambda: upload.sync(settings)) if call == "ListSubmissions" else submit(**forced)
    )
    assert (code, wanted in said) == (int(bool(wanted)), True)
    assert LEDGER.read_bytes() == before
    assert len(kaggle.submissions) == 1
    doing = "sync" if call == "ListSubmissions" else "submit --dry-run"
    seen.check(doing, fault, said or "retried, then succeeds", str(code), "ledger as it was")


def test_with_no_submission_yet_a_sync_has_nothing_to_do(
    kaggle: Kaggle, seen: Snapshot, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv(
        "KAGGLE_API_TOKEN"
    )  # kaggle.json, readable by all: the client says so on stdout
    key = Path(os.environ["KAGGLE_CONFIG_DIR"]) / "kaggle.json"
    key.parent.mkdir(exist_ok=True)
    key.write_text(json.dumps({"username": "tester", "key": TOKEN}))
    key.chmod(0o644)
    upload.sync(load_settings())
    assert read_ledger() == []
    who = {what: said for what, _, said in doctor.kaggle_ready(load_settings())}
    assert who["Kaggle"] == "legacy api key of tester"
    seen.check(
        "sync",
        "none made yet; the client warns on stdout",
        '"nothing has been sent yet"',
        "0",
        "empty",
    )


@pytest.mark.slow
def test_a_score_that_does_not_come_is_got_later(
    kaggle: Kaggle, seen: Snapshot, capsys: pytest.CaptureFixture[str]
) -> None:
    make_submission()
    kaggle.status = "PENDING"
    assert submit(wait=0.5) == (0, "")
    assert "no score yet" in capsys.readouterr().out
    assert read_ledger()[0].status == "pending"
    seen.check(
        "score", "PENDING every time", "no score yet; `--sync` gets it later", "0", "pending"
    )
    kaggle.status = "COMPLETE"
    upload.sync(load_settings())
    assert read_ledger()[0].public_score == "0.99100"


def test_a_submission_that_could_not_be_scored_is_a_failure(kaggle: Kaggle, seen: Snapshot) -> None:
    make_submission()
    kaggle.status = "ERROR"
    code, said = submit()
    assert (code, said) == (1, "Kaggle could not score submission 1001: Evaluation Exception")
    assert read_ledger()[0].status == "error"
    seen.check("score", "ERROR", said, "1", "error")


def test_the_days_limit_is_told_before_anything_is_sent(kaggle: Kaggle, seen: Snapshot) -> None:
    make_submission()
    kaggle.left = 0
    code, said = submit()
    assert (code, "accepts no more submissions" in said) == (1, True)
    assert "StartSubmissionUpload" not in kaggle.calls
    assert not LEDGER.exists()
    seen.check("submit", "the day's limit reached", said, "1", "no row")


def test_it_refuses_what_one_would_regret_unless_forced_by_name(
    kaggle: Kaggle, capsys: pytest.CaptureFixture[str]
) -> None:
    make_submission(cv=0.99)
    assert submit() == (0, "")
    code, said = submit()
    assert (code, "this very file was sent on" in said, "FORCE=sent" in said) == (1, True, True)
    assert read_ledger()[0].message in capsys.readouterr().out
    make_submission(label=1, cv=0.98)
    code, said = submit()
    assert (code, "its CV 0.98000 is below the best sent, 0.99000" in said) == (1, True)
    assert submit(force=[Refusal.LOWER_CV], dry_run=True) == (0, "")
    assert submit(force=[Refusal.LOWER_CV]) == (0, "")
    assert len(kaggle.submissions) == 2


@pytest.mark.slow
def test_the_ledger_names_a_revision_that_holds_what_was_not_committed(kaggle: Kaggle) -> None:
    make_submission()
    branch = revision("HEAD")
    with Path("params.yaml").open("a") as file:
        file.write("# changed\n")
    write_yaml(Path("experiments/recipes/mine.yaml"), {"description": "not added"})
    assert submit() == (0, "")
    row = read_ledger()[0]
    assert row.revision != branch == revision("HEAD")
    shown = ["git", "show", f"{row.revision}:params.yaml"]
    assert subprocess.run(shown, capture_output=True, text=True).stdout.endswith("# changed\n")
    assert revision(f"{row.revision}^") == branch
    kept = subprocess.run(
        ["git", "cat-file", "-e", f"{row.revision}:experiments/recipes/mine.yaml"]
    )
    assert kept.returncode == 0
    status = subprocess.run(["git", "status", "--porcelain"], capture_output=True, text=True)
    assert " M params.yaml" in status.stdout  # the branch and the index are as they were
    make_submission(label=1)
    assert submit() == (0, "")
    assert read_ledger()[1].revision == revision("HEAD")  # all committed: no snapshot


def test_a_file_that_other_settings_made_is_out_of_date(kaggle: Kaggle) -> None:
    make_submission()
    params = Path("params.yaml").read_text()
    Path("params.yaml").write_text(params.replace("seed: 0", "seed: 1"))
    git("commit", "-qam", "another seed, not run")
    code, said = submit()
    assert (code, "FORCE=out-of-date" in said) == (1, True)
    Path("params.yaml").write_text(params)
    write_yaml(Path("dvc.lock"), {"stages": {}})
    git("commit", "-qam", "forget")
    code, said = submit()
    assert (code, "FORCE=out-of-date" in said) == (1, True)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("change", "name"), [("rows: null", "slice"), ("recipes:\n- tiny", "quick")]
)
def test_less_than_a_whole_run_is_sent_only_by_its_name(
    kaggle: Kaggle, change: str, name: str
) -> None:
    other = {"slice": "rows: 20", "quick": "recipes:\n- quick"}[name]
    params = Path("params.yaml").read_text()
    assert change in params
    Path("params.yaml").write_text(params.replace(change, other))
    make_submission()
    code, said = submit()
    assert (code, f"FORCE={name}" in said) == (1, True)
    assert submit(force=[Refusal(name)]) == (0, "")


def test_submissions_made_elsewhere_get_a_row(
    kaggle: Kaggle, capsys: pytest.CaptureFixture[str]
) -> None:
    make_submission()
    command = [
        "kaggle",
        "competitions",
        "submit",
        "-f",
        "submissions/submission.csv",
        "-c",
        SLUG,
        "-m",
        "by hand",
    ]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert "Successfully submitted" in done.stdout
    upload.sync(load_settings())
    (row,) = read_ledger()
    assert (row.reference, row.message, row.public_score) == ("1001", "by hand", "0.99100")
    upload.sync(load_settings())
    assert len(read_ledger()) == 1
    assert "by hand" in capsys.readouterr().out


@pytest.mark.slow
def test_the_whole_road_as_commands_and_the_token_is_nowhere(kaggle: Kaggle, project: Path) -> None:
    def run(*command: str) -> str:
        result = subprocess.run(
            [sys.executable, "-m", "pipeline", *command], capture_output=True, text=True
        )
        printed.append(result.stdout + result.stderr)
        return f"{result.returncode} {printed[-1]}"

    printed: list[str] = []
    (project / "pipeline").symlink_to(REPOSITORY / "pipeline")
    assert run("download").startswith("0 ")
    assert run("preprocess").startswith("0 ")
    make_submission()
    kaggle.faults["CreateSubmission"] = ["lost"]
    assert "public score 0.99100" in run("upload", "-m", "the road")
    kaggle.faults["ListSubmissions"] = ["401"]
    assert run("upload", "--sync").startswith("1 ")
    assert run("upload", "--sync").startswith("0 ")
    shown = run("upload", "--ledger")
    assert "0.99100" in shown
    assert "+0.00100" in shown
    assert Path("experiments/ledger.png").exists()
    with LEDGER.open() as file:
        assert next(csv.reader(file))[:3] == ["time", "sha256", "revision"]
    secrets = (TOKEN.encode(), b"planted-signature")
    for path in project.rglob("*"):
        if path.is_file() and not path.is_symlink() and "home" not in path.parts:
            assert not any(secret in path.read_bytes() for secret in secrets), path
    assert not any(secret.decode() in text for secret in secrets for text in printed)


def test_a_refusal_that_speaks_of_notebooks_names_the_way_to_submit() -> None:
    refusal = "Submission not allowed: this competition only accepts Submissions from Notebooks"
    assert "code competition: docs/submit.md" in notebooks_only(refusal)
    assert notebooks_only("the file is too large") == ""
