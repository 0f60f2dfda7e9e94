"""Data from Kaggle: the real client against a stand-in service, and every fault it is known for."""

from pathlib import Path
from typing import Any

import pytest

from pipeline import preprocess, upload
from pipeline.base.paths import RAW
from pipeline.base.settings import load_settings
from pipeline.data.submission_file import load_template
from pipeline.health import doctor
from pipeline.kaggle import files
from pipeline.kaggle.files import fetch
from support.competition import competition_files, impatient, outcome, whole
from support.kaggle_server import SLUG, TOKEN, Kaggle, Server
from support.layouts import LAYOUTS
from support.project import REPOSITORY, write_competition, write_yaml
from support.snapshot import Snapshot

RECOVERS: dict[str, tuple[str, list[str]]] = {
    "429 with Retry-After": ("DownloadDataFiles", ["429:1"]),
    "500 once": ("DownloadDataFiles", ["500"]),
    "503 once, when signing in": ("IntrospectToken", ["503"]),
    "500 inside an HTTP 200": ("DownloadDataFiles", ["200=500"]),
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
    "500 every time": ("DownloadDataFiles", ["500!"], "Kaggle has a fault (500"),
    "body cut every time": ("GET", ["cut!"], "Kaggle"),
    "HTML every time": ("GET", ["html!"], "Kaggle sent no whole zip"),
    "member `../`": ("GET", ["dotdot!"], "which points outside of it"),
    "member with an absolute path": ("GET", ["absolute!"], "which points outside of it"),
    "member that is a link": ("GET", ["link!"], "which points outside of it"),
    "zip bomb": ("GET", ["bomb!"], "unpack to over"),
}  # fmt: skip


@pytest.mark.slow
@pytest.mark.parametrize("fault", RECOVERS)
def test_a_download_gets_over(kaggle: Kaggle, seen: Snapshot, fault: str) -> None:
    call, faults = RECOVERS[fault]
    kaggle.faults[call] = list(faults)
    code, said = outcome(lambda: fetch(load_settings()))
    assert (code, said) == (0, "")
    assert whole()
    assert kaggle.faults[call] == []
    seen.check("download", fault, "retried, then succeeds", "0", "complete files")


@pytest.mark.slow
@pytest.mark.parametrize("fault", ENDS)
def test_a_download_that_cannot_be_ends_in_one_line_and_a_rerun_recovers(
    kaggle: Kaggle, seen: Snapshot, fault: str
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
    seen.check("download", fault, said, "1", "nothing; a rerun downloads them")


@pytest.mark.slow
def test_a_silent_server_is_given_up(kaggle: Kaggle, seen: Snapshot) -> None:
    kaggle.faults["DownloadDataFiles"] = ["stall!"]
    code, said = outcome(lambda: fetch(impatient(4)))
    assert (code, said) == (1, "Kaggle has not answered for 4 s (download)")
    assert not whole()
    seen.check("download", "silence", said, "1", "nothing; a rerun downloads them")


@pytest.mark.slow
def test_a_download_that_stalls_halfway_is_begun_again(kaggle: Kaggle, seen: Snapshot) -> None:
    kaggle.faults["GET"] = ["stall-halfway"]
    assert outcome(lambda: fetch(impatient(6))) == (0, "")
    assert whole()
    seen.check("download", "stalls halfway", "retried, then succeeds", "0", "complete files")


def test_no_credentials_and_no_such_competition(
    kaggle: Kaggle, seen: Snapshot, monkeypatch: pytest.MonkeyPatch, params: dict[str, Any]
) -> None:
    settings = load_settings()
    other = settings.changed(competition={"slug": "no-such"})
    code, said = outcome(lambda: fetch(other))
    assert (code, "no competition 'no-such' (404)" in said) == (1, True)
    seen.check("download", "404", said, "1", "nothing; a rerun downloads them")
    monkeypatch.delenv("KAGGLE_API_TOKEN")
    code, said = outcome(lambda: fetch(settings))
    assert code == 1
    for way in (
        "KAGGLE_API_TOKEN",
        "kaggle.json",
        "KAGGLE_USERNAME",
        "competition: digit-recognizer",
    ):
        assert way in said
    assert not whole()
    seen.check("any", "no credentials", said, "1", "nothing")


def test_files_that_are_there_are_not_fetched_and_missing_ones_are(kaggle: Kaggle) -> None:
    fetch(load_settings())
    kaggle.calls.clear()
    fetch(load_settings())
    assert kaggle.calls == []
    (RAW / "test.csv").unlink()
    fetch(load_settings())
    assert "DownloadDataFiles" in kaggle.calls
    assert whole()


def test_files_of_somebody_else_are_neither_taken_for_kaggles_nor_replaced(kaggle: Kaggle) -> None:
    RAW.mkdir(parents=True)
    for name, content in competition_files().items():
        (RAW / name).write_bytes(content.replace(b"1,2", b"7,7"))
    before = (RAW / "train.csv").read_bytes()
    code, said = outcome(lambda: fetch(load_settings()))
    assert (code, "was not written by this project" in said) == (1, True)
    assert (RAW / "train.csv").read_bytes() == before
    assert kaggle.calls == []


@pytest.mark.slow
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
    left = RAW.parent / ".kaggle-abc"
    left.mkdir(parents=True)
    (left / f"{SLUG}.zip").write_bytes(b"half")
    fetch(load_settings())
    assert whole()


@pytest.mark.parametrize(
    ("keys", "said"),
    [
        ({"images": {"kind": "rows", "shape": [2, 2, 1], "train": "training.csv"}},
         "images.train: digit-recognizer has no training.csv on Kaggle; it has train.csv, test.csv"),
        ({"images": {"kind": "rows", "shape": [3, 3, 1]}}, ""),
    ],
)  # fmt: skip
def test_a_description_that_does_not_fit_is_the_users_to_mend(
    kaggle: Kaggle, keys: dict[str, Any], said: str
) -> None:
    write_competition(Path(), source="kaggle", **keys)
    code, printed = outcome(lambda: fetch(load_settings()))
    assert (code, said in printed) == (1 if said else 0, True), printed
    assert kaggle.calls.count("DownloadDataFiles") == (0 if said else 1)  # not five times


@pytest.mark.parametrize("name", ["cactus", "dog_breeds", "kannada"])
def test_other_competitions_come_through_the_real_client(
    project: Path, params: dict[str, Any], monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    layout = LAYOUTS[name]()
    write_yaml(project / "params.yaml", params | {"competition": "theirs"})
    described = layout.description | {"source": "kaggle", "slug": SLUG}
    write_yaml(project / "competitions/theirs.yaml", described)
    monkeypatch.setenv("PYTHONPATH", str(REPOSITORY))
    with Server(layout.files) as service:
        for variable, value in service.environment(project / "home").items():
            monkeypatch.setenv(variable, value)
        fetch(load_settings())
        preprocess.main()
        assert load_template().ids == list(layout.truth)
        assert service.calls.count("DownloadDataFiles") == 1


@pytest.mark.parametrize("name", [SLUG, f"competitions/{SLUG}", "a-data-set-of-mine"])
def test_in_a_kaggle_notebook_the_mounted_files_are_used(
    kaggle: Kaggle, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    mounted = tmp_path / "input" / name
    mounted.mkdir(parents=True)
    for name, content in competition_files().items():
        (mounted / name).write_bytes(content)
    monkeypatch.setattr(files, "MOUNTED", tmp_path / "input")
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


@pytest.mark.parametrize(
    ("name", "content", "said"),
    [
        ("access_token.txt", b"KGAT_secret", "access_token.txt: rename it to access_token"),
        ("kaggle.json", b"\xef\xbb\xbf{}", "kaggle.json begins with a byte order mark"),
        ("kaggle.json", b"KGAT_secret\n", "kaggle.json holds a bare token; rename it"),
        ("kaggle.json", b'{"user": "a"}', "kaggle.json lacks username or key"),
        ("kaggle.json", b'{"username": "a",', "kaggle.json is no JSON"),
    ],
)
def test_a_file_of_credentials_that_is_passed_over_is_named(
    kaggle: Kaggle, monkeypatch: pytest.MonkeyPatch, name: str, content: bytes, said: str
) -> None:
    for variable in ("KAGGLE_API_TOKEN", "KAGGLE_USERNAME", "KAGGLE_KEY"):
        monkeypatch.delenv(variable, raising=False)
    folder = Path("home/.kaggle")
    folder.mkdir(parents=True, exist_ok=True)
    (folder / name).write_bytes(content)
    monkeypatch.setenv("KAGGLE_CONFIG_DIR", str(folder.resolve()))
    monkeypatch.setenv("HOME", str(Path("home").resolve()))
    code, printed = outcome(lambda: fetch(load_settings()))
    assert (code, said in printed) == (1, True), printed
    assert "secret" not in printed
