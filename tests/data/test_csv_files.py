import contextlib
import re
import tempfile
from pathlib import Path

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from pipeline.base.errors import UserError
from pipeline.data import csv_files
from pipeline.data.csv_files import read_blocks, read_header, write_csv

COLUMNS = ["label", "pixel0", "pixel1"]


def read_bytes(path: Path, columns: list[str]) -> np.ndarray:
    if read_header(path) != columns:
        raise UserError(f"{path}: header: another one")
    return np.concatenate([block for block, _ in read_blocks(path, columns, [])])


def read(tmp_path: Path, content: bytes) -> np.ndarray:
    path = tmp_path / "train.csv"
    path.write_bytes(content)
    return read_bytes(path, COLUMNS)


def test_what_is_written_is_what_kaggle_writes(tmp_path: Path) -> None:
    write_csv(tmp_path / "a.csv", {"ImageId": np.array([1, 2]), "Label": np.array([7, 0])})
    assert (tmp_path / "a.csv").read_bytes() == b"ImageId,Label\n1,7\n2,0\n"


def test_what_is_written_is_read_back_over_many_blocks(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    table = np.random.default_rng(0).integers(0, 256, (500, 3), dtype=np.uint8)
    write_csv(tmp_path / "a.csv", dict(zip(COLUMNS, table.T, strict=True)))
    for size in (1, 7, 64, 1 << 20):
        monkeypatch.setattr(csv_files, "BLOCK_BYTES", size)
        assert np.array_equal(read_bytes(tmp_path / "a.csv", COLUMNS), table)


@pytest.mark.parametrize(
    "content",
    [
        b"label,pixel0,pixel1\n1,2,255",
        b"label,pixel0,pixel1\r\n1,2,255\r\n",
        b"\xef\xbb\xbflabel,pixel0,pixel1\n1,2,255\n",
        b"label,pixel0,pixel1\n1.0,2.,255\n",
    ],
)
def test_harmless_differences_are_read(tmp_path: Path, content: bytes) -> None:
    assert read(tmp_path, content).tolist() == [[1, 2, 255]]


HEADER = b"label,pixel0,pixel1\n"


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"", "is empty"),
        (HEADER, "has a header and no rows"),
        (b"label,pixel0,pixel0\n1,2,3\n", "header: the column 'pixel0' appears twice"),
        (b"1,2,3\n4,5,6\n", "its first line is numbers, not names of columns"),
        (HEADER + b"1,2,3\n1,256,3\n", "row 2, column pixel0: '256' is not a whole number 0..255"),
        (HEADER + b"1,2,-1\n", "row 1, column pixel1: '-1' is not"),
        (HEADER + b"1,2,x\n", "row 1, column pixel1: 'x' is not"),
        (HEADER + b"1,2,3.5\n", "row 1, column pixel1: '3.5' is not"),
        (HEADER + b"1,2,1e2\n", "row 1, column pixel1: '1e2' is not"),
        (HEADER + b"1,2,nan\n", "row 1, column pixel1: 'nan' is not"),
        (HEADER + b'1,2,"3"\n', "row 1, column pixel1: '\"3\"' is not"),
        (HEADER + "1,2,\uff13\n".encode(), "row 1, column pixel1: '\uff13' is not"),
        (HEADER + b"1,2,\x003\n", "row 1, column pixel1: '\\x003' is not"),
        (HEADER + b"1,2,3\n4,,6\n", "row 2, column pixel0: no value"),
        (HEADER + b"1,2,3\n4,5\n", "row 2: expected 3 cells, found 2"),
        (HEADER + b"1,2,3\n4,5,6,\n", "row 2: expected 3 cells, found 4"),
        (HEADER + b"1,2,3\n\n4,5,6\n", "row 2: expected 3 cells, found 1"),
        (HEADER + b"1,2,3\n4,5", "row 2: expected 3 cells, found 2"),
    ],
)
@pytest.mark.parametrize("block", [6, 1 << 20])
def test_a_fault_is_named_with_its_place(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, content: bytes, said: str, block: int
) -> None:
    monkeypatch.setattr(csv_files, "BLOCK_BYTES", block)
    with pytest.raises(UserError) as caught:
        read(tmp_path, content)
    assert str(caught.value).startswith(f"{tmp_path / 'train.csv'}")
    assert said in str(caught.value)
    assert "\n" not in str(caught.value)


@given(
    st.lists(st.tuples(*[st.integers(-5, 300)] * 3), min_size=1, max_size=30), st.integers(1, 60)
)
def test_any_table_is_read_back_or_its_first_fault_named(
    rows: list[tuple[int, int, int]], block: int
) -> None:
    with tempfile.TemporaryDirectory() as folder, pytest.MonkeyPatch.context() as patch:
        patch.setattr(csv_files, "BLOCK_BYTES", block)
        path = Path(folder) / "train.csv"
        lines = [",".join(map(str, row)) for row in rows]
        path.write_text("\n".join([",".join(COLUMNS), *lines]) + "\n")
        wrong = [
            (number, column, value)
            for number, row in enumerate(rows, start=1)
            for column, value in zip(COLUMNS, row, strict=True)
            if not 0 <= value <= 255
        ]
        if not wrong:
            assert read_bytes(path, COLUMNS).tolist() == [list(row) for row in rows]
            return
        number, column, value = wrong[0]
        with pytest.raises(UserError) as caught:
            read_bytes(path, COLUMNS)
        assert f"row {number}, column {column}: '{value}' is not" in str(caught.value)


CELL = st.one_of(
    st.integers(0, 255).map(str),
    st.text(alphabet="0123456789+-.eE \t\"'\0\r_x\uff11\u0661", max_size=5),
)


@given(
    st.lists(st.lists(CELL, min_size=1, max_size=3).map(",".join), max_size=8),
    st.sampled_from(["\n", "\r\n"]),
    st.booleans(),
    st.integers(1, 3),
    st.integers(1, 60),
)
@example(["7.", "+3.0"], "\n", False, 1, 60)
def test_a_table_is_read_only_if_each_cell_is_a_whole_number(
    lines: list[str], end: str, ended: bool, columns: int, block: int
) -> None:
    names = COLUMNS[:columns]
    body = "".join(line + end for line in lines)
    body = body if ended else body.removesuffix(end)
    # What the file says by the rules of RFC 4180, with no quotes.
    rows = [line.removesuffix("\r").split(",") for line in body.removesuffix("\n").split("\n")]
    good = bool(body) and all(
        len(row) == columns
        and all(
            re.fullmatch(r"[ \t]*\+?[0-9]+(\.0*)?", cell) and float(cell) <= 255 for cell in row
        )
        for row in rows
    )
    with tempfile.TemporaryDirectory() as folder, pytest.MonkeyPatch.context() as patch:
        patch.setattr(csv_files, "BLOCK_BYTES", block)
        path = Path(folder) / "train.csv"
        path.write_bytes((",".join(names) + end + body).encode())
        if good:
            whole = [[int(float(cell)) for cell in row] for row in rows]  # "7." is 7
            assert read_bytes(path, names).tolist() == whole
            return
        with pytest.raises(UserError) as caught:
            read_bytes(path, names)
        assert "\n" not in str(caught.value)


@given(st.binary(max_size=200))
def test_any_bytes_are_read_or_refused(content: bytes) -> None:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "train.csv"
        for start in (b"", HEADER):
            path.write_bytes(start + content)
            with contextlib.suppress(UserError):
                assert read_bytes(path, COLUMNS).shape[1] == 3


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"none.csv cannot be read: No such file"):
        read_bytes(tmp_path / "none.csv", COLUMNS)
