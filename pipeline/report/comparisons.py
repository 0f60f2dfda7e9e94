"""A run compared with earlier ones, with what was sent and with the published recipes."""

import json
import subprocess
from pathlib import Path
from typing import Any

import pandas as pd

from pipeline.base.paths import SCORES
from pipeline.evaluation.scores import beyond_chance, difference_error
from pipeline.kaggle.ledger import Row, read_ledger
from pipeline.provenance.revision import git
from pipeline.report.facts import Run, table

BENCHMARK = Path("experiments/benchmark.csv")
MOST = 8  # earlier runs
KINDS = ("validation", "test", "leaderboard")


def verdict(difference: float, error: float) -> str:
    """Whether a difference is more than chance gives, in words."""
    if not beyond_chance(difference, error):
        return "within chance"
    return "better, beyond chance" if difference > 0 else "worse, beyond chance"


def earlier_runs(run: Run) -> list[dict[str, Any]]:
    """The scores committed earlier, newest first; none without git.

    Both scores count as of `run.rows` separate rows. Most rows are the same, so the standard error
    is too large: a difference that is called beyond chance is.
    """
    try:
        lines = git("log", f"-{MOST}", "--format=%h%x09%cs%x09%s", "--", str(SCORES)).splitlines()
    except (OSError, subprocess.CalledProcessError):
        return []
    shown = []
    for line in lines:
        revision, date, subject = line.split("\t", 2)
        try:
            scores = json.loads(git("show", f"{revision}:./{SCORES}"))
            cv = float(scores["cv_accuracy"])
        except (subprocess.CalledProcessError, ValueError, KeyError, TypeError):
            continue  # deleted there, or of a form this code does not know
        error = difference_error((run.cv, run.rows), (cv, run.rows))
        same = cv == run.cv and scores.get("leaderboard_accuracy", run.board) == run.board
        shown.append(
            {
                "revision": revision,
                "date": date,
                "subject": subject,
                "cv": cv,
                "board": scores.get("leaderboard_accuracy"),
                "difference": run.cv - cv,
                "same": same,
                "verdict": "the same scores" if same else verdict(run.cv - cv, error),
            }
        )
    return shown


def sent() -> list[Row]:
    """The last rows of the ledger, newest first."""
    return read_ledger()[: -MOST - 1 : -1]


def published(run: Run) -> list[dict[str, Any]]:
    """The recipes of `make benchmark`: published, ours on the same rows, on this leaderboard.

    The best on the leaderboard first; none without a benchmark.
    """
    if not BENCHMARK.exists():
        return []
    columns = [f"published_{kind}" for kind in KINDS]
    read = table(BENCHMARK, "recipe", "networks", *KINDS, *columns)
    read = read.dropna(subset=["networks", "leaderboard"])  # a recipe may only have been timed
    local = run.settings.competition.source == "embedded"
    shown = []
    for row in read.sort_values("leaderboard", ascending=False).to_dict("records"):
        kinds = [kind for kind in KINDS if pd.notna(row[f"published_{kind}"])]
        board = float(row["leaderboard"])
        compared = "-"
        if local and run.board is not None:
            error = difference_error((run.board, run.board_rows), (board, run.board_rows))
            compared = verdict(run.board - board, error)
        shown.append(
            {
                "recipe": row["recipe"],
                "networks": int(row["networks"]),
                "published": ", ".join(f"{row[f'published_{kind}']:.5g} {kind}" for kind in kinds),
                "ours": ", ".join(f"{row[kind]:.5f} {kind}" for kind in kinds),
                "board": board,
                "verdict": compared,
            }
        )
    return shown
