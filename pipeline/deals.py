"""Is the CV score honest? The pipeline on several dealings of the digits, CV beside leaderboard.

A leaderboard score is of all folds' networks together, a CV score of one network a row: a little
more on the leaderboard is the blend's gain. Less than CV, beyond chance, is what a leak would make.
"""

import json
import math
import subprocess
from typing import Annotated

import typer
from rich.table import Table

from pipeline.config import Settings, load_settings
from pipeline.console import UserError, console, run_command, say
from pipeline.scores import beyond_chance, difference_error


def scores_on(deal: int, changes: list[str]) -> dict[str, float]:
    """Run the pipeline on a dealing, as an experiment in a folder of its own; its scores."""
    name = f"deal-{deal}"
    values = [*changes, "tune.trials=0", f"competition.deal={deal}"]
    flags = [part for value in values for part in ("-S", value)]
    command = ["dvc", "exp", "run", "--temp", "--force", "--name", name, *flags]
    if subprocess.run(command).returncode:
        raise UserError(f"the run on deal {deal} failed; its own message is above")
    head = ["git", "rev-parse", "HEAD"]  # an experiment is kept under the commit it began from
    base = subprocess.run(head, capture_output=True, text=True, check=True).stdout.strip()
    reference = f"refs/exps/{base[:2]}/{base[2:]}/{name}"
    shown = ["git", "show", f"{reference}:submissions/metrics.json"]
    scores: dict[str, float] = json.loads(
        subprocess.run(shown, capture_output=True, text=True, check=True).stdout
    )
    return scores


def report(settings: Settings, scores: dict[int, dict[str, float]]) -> tuple[Table, float, float]:
    """A table of the dealings; the mean of leaderboard minus CV, and its standard error.

    The error is what chance alone gives a difference of two shares, of rows taken as independent;
    the dealings share their digits, so it is a little too small.
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
        list[str] | None, typer.Option("-S", help="As of `dvc exp run`: train.epochs=6")
    ] = None,
) -> None:
    """Run the pipeline on each dealing; show leaderboard minus CV."""
    settings = load_settings()
    if settings.competition.source != "embedded":
        raise UserError("only the embedded competition (competition.source) can be dealt anew")
    scores = {deal: scores_on(deal, change or []) for deal in deals}
    table, mean, error = report(settings, scores)
    console.print(table)
    too_much = mean < 0 and beyond_chance(mean, error)
    verdict = f"CV {'promises' if too_much else 'does not promise'} too much"
    say(f"mean difference {mean:+.5f}, standard error {error:.5f}: {verdict}")


if __name__ == "__main__":
    run_command(main)
