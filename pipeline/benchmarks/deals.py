"""Is the CV score honest? The pipeline on several splits of the digits, CV beside leaderboard.

All folds' networks together predict a leaderboard row, one network predicts a CV row: a little more
on the leaderboard is the blend's gain. Less than CV, beyond chance, would mean a leak.
"""

import json
import math
import subprocess
from typing import Annotated

import typer
from rich.table import Table

from pipeline.base.console import console, say
from pipeline.base.errors import UserError
from pipeline.base.paths import SCORES
from pipeline.base.settings import Settings, load_settings
from pipeline.evaluation.scores import beyond_chance, difference_error
from pipeline.provenance.revision import git


def scores_on(deal: int, changes: list[str]) -> dict[str, float]:
    """Run the pipeline on a split, as an experiment in a folder of its own; return its scores."""
    name = f"deal-{deal}"
    values = [*changes, "tune.trials=0", f"competition.deal={deal}"]
    flags = [part for value in values for part in ("-S", value)]
    command = ["dvc", "exp", "run", "--temp", "--force", "--name", name, *flags]
    if subprocess.run(command).returncode:
        raise UserError(f"the run on deal {deal} failed; its own message is above")
    base = git("rev-parse", "HEAD")  # an experiment is kept under the commit it began from
    reference = f"refs/exps/{base[:2]}/{base[2:]}/{name}"
    scores: dict[str, float] = json.loads(git("show", f"{reference}:{SCORES}"))
    return scores


def report(settings: Settings, scores: dict[int, dict[str, float]]) -> tuple[Table, float, float]:
    """A table of the splits; the mean of leaderboard minus CV, and its standard error.

    The error is that of chance for a difference of two shares, of rows taken as independent; the
    splits share their digits, so it is a little too small.
    """
    rows = (settings.competition.train_rows or 1, settings.competition.test_rows or 1)
    table = Table("deal", "CV", "leaderboard", "difference", "standard error", box=None)
    gaps, errors = [], []
    for deal, each in scores.items():
        cv, board = each["cv_accuracy"], each["leaderboard_accuracy"]
        error = difference_error((cv, rows[0]), (board, rows[1]))
        table.add_row(str(deal), f"{cv:.5f}", f"{board:.5f}", f"{board - cv:+.5f}", f"{error:.5f}")
        gaps.append(board - cv)
        errors.append(error)
    mean = sum(gaps) / len(gaps)
    return table, mean, math.sqrt(sum(error**2 for error in errors)) / len(errors)


def main(
    deals: Annotated[list[int], typer.Argument(min=0, help="Numbers for competition.deal.")],
    change: Annotated[
        list[str] | None, typer.Option("-S", help="A setting to change: train.epochs=6")
    ] = None,
) -> None:
    """Run the pipeline on each split; show leaderboard minus CV."""
    settings = load_settings()
    if settings.competition.source != "embedded":
        raise UserError("only the embedded competition (competition.source) can be split again")
    scores = {deal: scores_on(deal, change or []) for deal in deals}
    table, mean, error = report(settings, scores)
    console.print(table)
    too_much = mean < 0 and beyond_chance(mean, error)
    verdict = f"CV is {'' if too_much else 'not '}too optimistic"
    say(f"mean difference {mean:+.5f}, standard error {error:.5f}: {verdict}")
