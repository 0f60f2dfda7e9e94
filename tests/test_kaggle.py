"""Kaggle in and out: the real client against a stand-in service, and every fault it is known for."""

import csv
import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from conftest import REPOSITORY, write_docs, write_yaml
from kaggle_server import SLUG, TOKEN, Kaggle, Server

from pipeline import doctor, kaggle_files, kaggle_submit, upload
from pipeline.config import Settings, load_settings
from pipeline.console import UserError
from pipeline.files import RAW, write_json
from pipeline.kaggle_files import fetch
from pipeline.ledger import LEDGER, read_ledger

TRAIN, TEST = 30, 20
SEEN: list[tuple[str, str, str, str, str]] = []  # the rows of docs/kaggle.md
DOCS = REPOSITORY / "docs/kaggle.md"


def competition_files() -> dict[str, bytes]:
    pixels = [f"pixel{i}" for i in range(4)]
    lines = [",".join(["label", *pixels]), *(f"{i % 10},1,2,3,{i}" for i in range(TRAIN))]
    test = [",".join(pixels), *(f"{i},2,3,4" for i in range(TEST))]
    sample = ["ImageId,Label", *(f"{i + 1},0" for i in range(TEST))]
    tables = {"train.csv": lines, "test.csv": test, "sample_submission.csv": sample}
    return {name: ("\n".join(each) + "\n").encode() for name, each in tables.items()}


@pytest.fixture
def kaggle(
    project: Path, params: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> Iterator[Kaggle]:
    """The service, and a project whose competition is on it, with a user's environment."""
    params["competition"] |= {
        "source": "kaggle", "train_rows": TRAIN, "test_rows": TEST, "image_shape": [2, 2, 1],
    }  # fmt: skip
    params["kaggle"] = {"timeout": 20, "attempts": 3}
    write_yaml(project / "params.yaml", params)
    monkeypatch.setattr(kaggle_submit, "POLL", 0.2)
    with Server(competition_files()) as service:
        for name in os.environ:
            if name.startswith("KAGGLE_") or name.lower().endswith("_proxy"):
                monkeypatch.delenv(name)
        for name, value in service.environment(project / "home").items():
            monkeypatch.setenv(name, value)
        monkeypatch.setenv("PYTHONPATH", str(REPOSITORY))
        yield service


def impatient(seconds: float) -> Settings:
    """The settings, for a service that falls silent."""
    settings = load_settings()
    return settings.model_copy(
        update={"kaggle": settings.kaggle.model_copy(update={"timeout": seconds, "attempts": 2})}
    )


def outcome(action: Any) -> tuple[int, str]:
    """The exit code, and the one line of an error."""
    try:
        action()
    except UserError as error:
        assert "\n" not in str(error)
        return 1, str(error)
    return 0, ""


def whole() -> bool:
    """Whether data/raw/ has the files, as they were sent, and nothing else."""
    found = {path.name: path.read_bytes() for path in RAW.iterdir()} if RAW.exists() else {}
    assert found in ({}, competition_files()), sorted(found)  # never half
    return bool(found)


RECOVERS: dict[str, tuple[str, list[str]]] = {
    "429 with Retry-After": ("DownloadDataFiles", ["429:1"]),
    "500 once": ("DownloadDataFiles", ["500"]),
    "503 once, at signing in": ("IntrospectToken", ["503"]),
    "500 told under 200": ("DownloadDataFiles", ["200=500"]),
    "503 once": ("GET", ["503"]),
    "connection reset": ("DownloadDataFiles", ["reset"]),
    "body cut once": ("GET", ["cut"]),
    "body cut, then an error in its place": ("GET", ["cut", "403"]),
    "half a zip, no length": ("GET", ["half"]),
    "HTML for a zip": ("GET", ["html"]),
    "a byte changed, size the same": ("GET", ["flip"]),
}  # fmt: skip
ENDS: dict[str, tuple[str, list[str], str]] = {
    "401": ("DownloadDataFiles", ["401!"], "Kaggle refuses the credentials (401)"),
    "403, rules not accepted": (
        "DownloadDataFiles", ["403!"], f"accept the competition's rules at https://www.kaggle.com/competitions/{SLUG}/rules",
    ),
    "500 for ever": ("DownloadDataFiles", ["500!"], "Kaggle is in trouble (500"),
    "body cut every time": ("GET", ["cut!"], "Kaggle"),
    "HTML for ever": ("GET", ["html!"], "Kaggle sent something else"),
    "member `../`": ("GET", ["dotdot!"], "which reaches outside"),
    "member with an absolute path": ("GET", ["absolute!"], "which reaches outside"),
    "member that is a link": ("GET", ["link!"], "which reaches outside"),
    "zip bomb": ("GET", ["bomb!"], "unpack to over"),
}  # fmt: skip


@pytest.mark.slow
@pytest.mark.parametrize("fault", RECOVERS)
def test_a_download_gets_over(kaggle: Kaggle, fault: str) -> None:
    call, faults = RECOVERS[fault]
    kaggle.faults[call] = list(faults)
    code, said = outcome(lambda: fetch(load_settings()))
    assert (code, said) == (0, "")
    assert whole()
    assert kaggle.faults[call] == []
    SEEN.append(("download", fault, "goes on by itself", "0", "the files, whole"))


@pytest.mark.slow
@pytest.mark.parametrize("fault", ENDS)
def test_a_download_that_cannot_be_ends_in_one_line_and_a_rerun_recovers(
    kaggle: Kaggle, fault: str
) -> None:
    call, faults, wanted = ENDS[fault]
    kaggle.faults[call] = list(faults)
    code, said = outcome(lambda: fetch(load_settings()))
    assert code == 1
    assert wanted in said
    assert not whole()
    assert not Path("escaped.txt").exists()
    kaggle.faults.clear()
    assert outcome(lambda: fetch(load_settings())) == (0, "")
    assert whole()
    SEEN.append(("download", fault, said, "1", "nothing; a rerun fetches them"))


@pytest.mark.slow
def test_a_silent_server_is_given_up(kaggle: Kaggle) -> None:
    kaggle.faults["DownloadDataFiles"] = ["stall!"]
    code, said = outcome(lambda: fetch(impatient(4)))
    assert (code, said) == (1, "Kaggle has been silent for 4 s (download)")
    assert not whole()
    SEEN.append(("download", "silence", said, "1", "nothing; a rerun fetches them"))


@pytest.mark.slow
def test_a_download_that_stalls_halfway_is_begun_again(kaggle: Kaggle) -> None:
    kaggle.faults["GET"] = ["stall-halfway"]
    assert outcome(lambda: fetch(impatient(6))) == (0, "")
    assert whole()
    SEEN.append(("download", "stalls halfway", "goes on by itself", "0", "the files, whole"))


def test_no_credentials_and_no_such_competition(
    kaggle: Kaggle, monkeypatch: pytest.MonkeyPatch, params: dict[str, Any]
) -> None:
    settings = load_settings()
    other = settings.competition.model_copy(update={"slug": "no-such"})
    code, said = outcome(lambda: fetch(settings.model_copy(update={"competition": other})))
    assert (code, "no competition 'no-such' (404)" in said) == (1, True)
    SEEN.append(("download", "404", said, "1", "nothing; a rerun fetches them"))
    monkeypatch.delenv("KAGGLE_API_TOKEN")
    code, said = outcome(lambda: fetch(settings))
    assert code == 1
    for way in ("KAGGLE_API_TOKEN", "kaggle.json", "KAGGLE_USERNAME", "source: embedded"):
        assert way in said
    assert not whole()
    SEEN.append(("any", "no credentials", said, "1", "nothing"))


def test_files_that_are_there_are_not_fetched_and_wrong_ones_are(kaggle: Kaggle) -> None:
    fetch(load_settings())
    kaggle.calls.clear()
    fetch(load_settings())
    assert kaggle.calls == []
    (RAW / "test.csv").write_bytes(competition_files()["test.csv"].replace(b"0,2", b"9,2", 1))
    fetch(load_settings())
    assert "DownloadDataFiles" in kaggle.calls
    assert whole()


def test_files_of_the_same_shape_from_elsewhere_are_not_taken_for_kaggles(kaggle: Kaggle) -> None:
    RAW.mkdir(parents=True)
    for name, content in competition_files().items():
        (RAW / name).write_bytes(content.replace(b"1,2", b"7,7"))
    fetch(load_settings())
    assert whole()


def test_a_token_with_a_line_end_serves_and_a_refused_one_is_not_shown(
    kaggle: Kaggle, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("KAGGLE_API_TOKEN", f"{TOKEN}\n")
    assert outcome(lambda: fetch(load_settings())) == (0, "")
    for wrong in ("expired-token-9c1d", "x" * 300, "bad\nline"):
        monkeypatch.setenv("KAGGLE_API_TOKEN", wrong)
        code, said = outcome(lambda: upload.sync(load_settings()))
        assert (code, wrong[:20] in said, wrong.splitlines()[0] in said) == (1, False, False)


def test_what_a_killed_download_left_is_cleared_away(kaggle: Kaggle) -> None:
    left = RAW / ".kaggle-abc"
    left.mkdir(parents=True)
    (left / f"{SLUG}.zip").write_bytes(b"half")
    fetch(load_settings())
    assert whole()


def test_another_competitions_files_are_refused(kaggle: Kaggle) -> None:
    kaggle.files["train.csv"] = kaggle.files["train.csv"] + b"1,2,3,4,5\n"
    code, said = outcome(lambda: fetch(load_settings()))
    assert (code, "train.csv: 31 rows where the competition has 30" in said) == (1, True)
    assert not whole()


def test_in_a_kaggle_notebook_the_mounted_files_are_used(
    kaggle: Kaggle, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    mounted = tmp_path / "input" / SLUG
    mounted.mkdir(parents=True)
    for name, content in competition_files().items():
        (mounted / name).write_bytes(content)
    monkeypatch.setattr(kaggle_files, "MOUNTED", tmp_path / "input")
    fetch(load_settings())
    assert whole()
    assert kaggle.calls == []


def test_the_doctor_knows_whether_kaggle_would_answer(
    kaggle: Kaggle, monkeypatch: pytest.MonkeyPatch
) -> None:
    def states() -> dict[str, tuple[str, str]]:
        return {what: (state, said) for what, state, said in doctor.kaggle_ready(load_settings())}

    found = states()
    assert found["Kaggle"] == (doctor.GOOD, "access token of tester")
    assert found["rules"][0] == doctor.GOOD
    assert found["submissions"] == (doctor.GOOD, "5 left today, 0 made")
    kaggle.faults["ListDataFiles"] = ["403"]
    assert states()["competition"][0] == doctor.BAD
    monkeypatch.delenv("KAGGLE_API_TOKEN")
    state, said = states()["Kaggle"]
    assert (state, TOKEN in said) == (doctor.BAD, False)


# --- out


def git(*command: str) -> None:
    who = {
        f"GIT_{who}_{what}": "t" for who in ("AUTHOR", "COMMITTER") for what in ("NAME", "EMAIL")
    }
    subprocess.run(["git", *command], check=True, capture_output=True, env=os.environ | who)


def make_submission(label: int = 0, cv: float = 0.99) -> None:
    """A submission file and its scores, and a dvc.lock that says this revision made it; committed."""
    import hashlib

    RAW.mkdir(parents=True, exist_ok=True)
    (RAW / "sample_submission.csv").write_bytes(competition_files()["sample_submission.csv"])
    file = Path("submissions/submission.csv")
    file.parent.mkdir(exist_ok=True)
    file.write_text("ImageId,Label\n" + "".join(f"{i + 1},{label}\n" for i in range(TEST)))
    scores = {"cv_accuracy": cv, "cv_accuracy_low": cv - 0.001, "cv_accuracy_high": cv + 0.001}
    write_json(Path("submissions/metrics.json"), scores)
    digest = hashlib.md5(file.read_bytes(), usedforsecurity=False).hexdigest()
    made = {"outs": [{"path": str(file), "md5": digest}], "params": {"params.yaml": {"seed": 0}}}
    lock = {"stages": {"submission": made}}
    write_yaml(Path("dvc.lock"), lock)
    Path(".gitignore").write_text("home\nexperiments/mlflow*\nexperiments/artifacts\ndata\n")
    git("init", "-q")
    git("add", ".")
    git("commit", "-q", "--allow-empty", "-m", "x")


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
    "500 told under 200, not accepted": ("CreateSubmission", ["200=500"]),
    "answer lost after it was accepted": ("CreateSubmission", ["lost"]),
    "answer lost, and the list is down at first": ("CreateSubmission", ["lost"]),
}  # fmt: skip


@pytest.mark.slow
@pytest.mark.parametrize("fault", SUBMITS)
def test_it_is_sent_once_whatever_happens(
    kaggle: Kaggle, fault: str, capsys: pytest.CaptureFixture[str]
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
    SEEN.append(("submit", fault, "sent, once; score shown", "0", "complete"))


REFUSES: dict[str, tuple[str, list[str], str, str]] = {
    "401": ("StartSubmissionUpload", ["401!"], "Kaggle refuses the credentials (401)", "error"),
    "403, rules not accepted": ("StartSubmissionUpload", ["403!"], "accept the competition's rules", "error"),
    "PUT refused for ever": ("PUT", ["503!"], "Kaggle did not take the file", "error"),
    "answer lost, and the list is down": ("CreateSubmission", ["lost"], "whether the submission counted is unclear", "unclear"),
}  # fmt: skip


@pytest.mark.slow
@pytest.mark.parametrize("fault", REFUSES)
def test_what_is_not_sent_or_not_known_is_said_and_a_sync_finds_out(
    kaggle: Kaggle, fault: str
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
    SEEN.append(("submit", fault, said, "1", status))
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
    "list: silence": ("ListSubmissions", ["stall!"], "Kaggle has been silent for 4 s (submissions)"),
    "limits: 503 once": ("GetSubmissionLimits", ["503"], ""),
    "limits: 403": ("GetSubmissionLimits", ["403!"], "accept the competition's rules"),
    "limits: 500 for ever": ("GetSubmissionLimits", ["500!"], "Kaggle is in trouble (500, limits)"),
    "limits: silence": ("GetSubmissionLimits", ["stall!"], "Kaggle has been silent for 4 s (limits)"),
}  # fmt: skip


@pytest.mark.slow
@pytest.mark.parametrize("fault", LISTS)
def test_asking_without_sending(kaggle: Kaggle, fault: str) -> None:
    make_submission()
    assert submit() == (0, "")
    before = LEDGER.read_bytes()
    call, faults, wanted = LISTS[fault]
    kaggle.faults[call] = list(faults)
    settings = impatient(4) if "silence" in fault else load_settings()
    forced: dict[str, Any] = {"dry_run": True, "force": [upload.Refusal.SENT], "settings": settings}
    code, said = (
        outcome(lambda: upload.sync(settings)) if call == "ListSubmissions" else submit(**forced)
    )
    assert (code, wanted in said) == (int(bool(wanted)), True)
    assert LEDGER.read_bytes() == before
    assert len(kaggle.submissions) == 1
    doing = "sync" if call == "ListSubmissions" else "submit --dry-run"
    SEEN.append((doing, fault, said or "goes on by itself", str(code), "ledger as it was"))


def test_with_no_submission_yet_a_sync_has_nothing_to_do(
    kaggle: Kaggle, monkeypatch: pytest.MonkeyPatch
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
    SEEN.append(
        ("sync", "none made yet; the client warns on stdout", "an empty table", "0", "empty")
    )


def test_a_score_that_does_not_come_is_got_later(
    kaggle: Kaggle, capsys: pytest.CaptureFixture[str]
) -> None:
    make_submission()
    kaggle.status = "PENDING"
    assert submit(wait=0.5) == (0, "")
    assert "no score yet" in capsys.readouterr().out
    assert read_ledger()[0].status == "pending"
    SEEN.append(
        ("score", "PENDING for ever", "no score yet; `--sync` gets it later", "0", "pending")
    )
    kaggle.status = "COMPLETE"
    upload.sync(load_settings())
    assert read_ledger()[0].public_score == "0.99100"


def test_a_submission_that_could_not_be_scored_is_a_failure(kaggle: Kaggle) -> None:
    make_submission()
    kaggle.status = "ERROR"
    code, said = submit()
    assert (code, said) == (1, "Kaggle could not score submission 1001: Evaluation Exception")
    assert read_ledger()[0].status == "error"
    SEEN.append(("score", "ERROR", said, "1", "error"))


def test_the_days_limit_is_told_before_anything_is_sent(kaggle: Kaggle) -> None:
    make_submission()
    kaggle.left = 0
    code, said = submit()
    assert (code, "takes no more submissions" in said) == (1, True)
    assert "StartSubmissionUpload" not in kaggle.calls
    assert not LEDGER.exists()
    SEEN.append(("submit", "the day's limit reached", said, "1", "no row"))


def test_it_refuses_what_one_would_regret_unless_forced_by_name(
    kaggle: Kaggle, capsys: pytest.CaptureFixture[str]
) -> None:
    make_submission(cv=0.99)
    assert submit() == (0, "")
    code, said = submit()
    assert (code, "this very file was sent on" in said, "--force sent" in said) == (1, True, True)
    assert read_ledger()[0].message in capsys.readouterr().out
    make_submission(label=1, cv=0.98)
    code, said = submit()
    assert (code, "its CV 0.98 is below the best sent, 0.99" in said) == (1, True)
    assert submit(force=[upload.Refusal.LOWER_CV], dry_run=True) == (0, "")
    assert submit(force=[upload.Refusal.LOWER_CV]) == (0, "")
    make_submission(label=2)
    with Path("params.yaml").open("a") as file:
        file.write("# changed\n")
    code, said = submit()
    assert (code, "--force uncommitted" in said) == (1, True)
    assert len(kaggle.submissions) == 2


def test_a_file_another_revision_made_counts_as_uncommitted(kaggle: Kaggle) -> None:
    make_submission()
    params = Path("params.yaml").read_text()
    Path("params.yaml").write_text(params.replace("seed: 0", "seed: 1"))
    git("commit", "-qam", "another seed, not run")
    code, said = submit()
    assert (code, "--force uncommitted" in said) == (1, True)
    Path("params.yaml").write_text(params)
    write_yaml(Path("dvc.lock"), {"stages": {}})
    git("commit", "-qam", "forget")
    code, said = submit()
    assert (code, "--force uncommitted" in said) == (1, True)


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
        result = subprocess.run([sys.executable, "-m", *command], capture_output=True, text=True)
        printed.append(result.stdout + result.stderr)
        return f"{result.returncode} {printed[-1]}"

    printed: list[str] = []
    (project / "pipeline").symlink_to(REPOSITORY / "pipeline")
    assert run("pipeline.download").startswith("0 ")
    assert run("pipeline.preprocess").startswith("0 ")
    make_submission()
    kaggle.faults["CreateSubmission"] = ["lost"]
    assert "public score 0.99100" in run("pipeline.upload", "-m", "the road")
    kaggle.faults["ListSubmissions"] = ["401"]
    assert run("pipeline.upload", "--sync").startswith("1 ")
    assert run("pipeline.upload", "--sync").startswith("0 ")
    shown = run("pipeline.upload", "--ledger")
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


@pytest.mark.slow
def test_the_table_in_docs_is_what_was_seen() -> None:
    if len(SEEN) < 50:
        pytest.skip("only some of the tests were run")
    lines = [
        "# What goes wrong with Kaggle, and what then happens",
        "",
        "Written by `tests/test_kaggle.py`, which runs the real Kaggle client against a stand-in of the",
        "service on loopback and injects each fault. The last column is what data/raw/ holds afterwards",
        "(download) or the status of the row in submissions/ledger.csv (submit, score).",
        "",
        "| doing | fault | what the user sees | exit code | left behind |",
        "|---|---|---|---|---|",
        *("| " + " | ".join(cell.replace("|", "\\|") for cell in row) + " |" for row in SEEN),
    ]
    write_docs(DOCS, lines)
