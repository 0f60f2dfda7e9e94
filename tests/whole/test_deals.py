"""`make deals` in whole, on a slice of two splits."""

import sys
from pathlib import Path

import pytest

from support.checkout import copy_checkout, run
from support.project import small_params

pytestmark = pytest.mark.slow


def test_splits_are_compared_and_averaging_is_taken_off(tmp_path: Path) -> None:
    folder = copy_checkout(tmp_path / "checkout", small_params(tracking={"uri": None}))
    pipeline = (sys.executable, "-m", "pipeline")
    said = run(folder, *pipeline, "deals", "1", "2", "-S", "train.epochs=2")
    end = said[said.index("mean difference") :]
    assert "averaging 2 networks is worth" in end
    assert "two networks a fold on deal 1" in end
    assert "what is left is" in end
    assert not list((folder / "competitions").glob("*-deal-*"))
    for name in ("deal-1", "deal-2", "deal-1-twice"):  # each can be used as any other result
        run(folder, *pipeline, "take", name)
        assert (folder / f"competitions/digit-recognizer-{name}.yaml").exists()
