"""A Kaggle account's files as people save them: what is wrong is told by its file, and asked nobody."""

import codecs
import os
from pathlib import Path

import pytest

from pipeline.kaggle.client import answer
from pipeline.kaggle.credentials import wrong_file

TOKEN = b"KGAT_0123456789abcdef"
KEY = b'{"username": "me", "key": "0123456789abcdef"}'
FILES: dict[str, tuple[str, bytes | None, str]] = {
    "a byte order mark": ("kaggle.json", codecs.BOM_UTF8 + KEY, "byte order mark"),
    "UTF-16": ("kaggle.json", KEY.decode().encode("utf-16"), "byte order mark"),
    "a bare token": ("kaggle.json", TOKEN, "holds a bare token; rename it to access_token"),
    "no JSON": ("kaggle.json", b"username: me, key: x", "is no JSON"),
    "a list": ("kaggle.json", b"[1]", "lacks username or key"),
    "a folder": ("kaggle.json", None, "cannot be read: Is a directory"),
    "a token's mark": ("access_token", codecs.BOM_UTF8 + TOKEN, "byte order mark"),
    "a token in UTF-16": ("access_token", TOKEN.decode().encode("utf-16"), "byte order mark"),
    "an empty token": ("access_token", b"\n", "is empty; put the token in it"),
    "a token in JSON": ("access_token", KEY, "is JSON: rename it to kaggle.json"),
    "a folder for a token": ("access_token", None, "cannot be read: Is a directory"),
    "another ending": ("kaggle.json.txt", KEY, "rename it to kaggle.json"),
}


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    for name in os.environ:
        if name.startswith("KAGGLE_"):
            monkeypatch.delenv(name)
    monkeypatch.setenv("HOME", str(tmp_path))
    (tmp_path / ".kaggle").mkdir()
    return tmp_path / ".kaggle"


@pytest.mark.parametrize("case", FILES)
def test_a_file_that_is_wrong_is_named_with_what_is_wrong(folder: Path, case: str) -> None:
    name, content, wanted = FILES[case]
    path = folder / name
    path.mkdir() if content is None else path.write_bytes(content)
    said = wrong_file()
    assert said.startswith(str(path))
    assert wanted in said
    assert "0123456789abcdef" not in said


def test_files_that_are_right_or_do_not_matter_are_not_blamed(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert wrong_file() == ""
    (folder / "kaggle.json").write_bytes(KEY)
    assert wrong_file() == ""
    (folder / "kaggle.json").write_bytes(b"[1]")
    (folder / "access_token").write_bytes(TOKEN + b"\r\n")
    assert wrong_file() == ""
    (folder / "access_token").write_bytes(b"")
    monkeypatch.setenv("KAGGLE_API_TOKEN", TOKEN.decode())
    assert wrong_file() == ""
    monkeypatch.setenv("KAGGLE_API_TOKEN", "/no/such/file")
    assert "KAGGLE_API_TOKEN: /no/such/file: there is no such file" in wrong_file()


@pytest.mark.parametrize("case", ["UTF-16", "a token's mark", "a folder"])
def test_the_client_that_breaks_on_a_file_is_not_asked_why(folder: Path, case: str) -> None:
    name, content, wanted = FILES[case]
    path = folder / name
    path.mkdir() if content is None else path.write_bytes(content)
    found = answer("whoami", [])
    assert found["fault"] == "file", found
    assert wanted in found["reason"]
