"""`make deals` in whole, on a slice of two splits."""

import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

from support.checkout import copy_checkout, run
from support.project import REPOSITORY

pytestmark = pytest.mark.slow


def test_splits_are_compared_and_averaging_is_taken_off(tmp_path: Path) -> None:
    params: dict[str, Any] = yaml.safe_load((REPOSITORY / "params.yaml").read_text())
    params["recipes"] = ["tiny"]
    params["preprocess"]["folds"] = 2
    folder = copy_checkout(tmp_path / "checkout", params)
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
