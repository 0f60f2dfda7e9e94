import os
from pathlib import Path

import numpy as np
import pytest

from pipeline.data.csv_files import write_csv
from support.project import REPOSITORY, run_here


@pytest.mark.slow
def test_both_ways_of_reading_are_timed(
    project: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("PYTHONPATH", str(REPOSITORY) + os.pathsep)
    columns = {"label": np.zeros(50, int)} | {f"pixel{i}": np.arange(50) for i in range(784)}
    write_csv(Path("data/raw/train.csv"), columns)
    write_csv(
        Path("data/raw/test.csv"), {name: columns[name] for name in columns if name != "label"}
    )
    assert run_here("benchmark-csv", "--runs", "1") == 0
    assert "of pandas's time (median of paired runs)" in capsys.readouterr().out
