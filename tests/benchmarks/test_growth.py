"""What one more trial, fold or run costs where there are many."""

from pathlib import Path

import pytest

from pipeline.benchmarks import growth


@pytest.mark.slow
def test_each_store_is_filled_and_one_more_is_timed(
    project: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(growth, "SIZES", (10, 20))
    growth.growth()
    shown = capsys.readouterr().out
    for what in ("open a study", "draw a trial", "look a fold up", "log a run"):
        assert what in shown
    assert not list((project / "experiments/cache").iterdir())
