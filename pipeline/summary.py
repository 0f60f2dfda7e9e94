"""The table at the end of a run: how good it is, what it took, what comes next."""

from pathlib import Path

from rich.table import Table

from pipeline.config import Settings, load_settings
from pipeline.console import console, duration, run_command
from pipeline.files import BLENDED, METRICS, SCORES, SUBMISSION, TRAINED, read_json
from pipeline.scores import beyond_chance, difference_error
from pipeline.stage import stage_seconds


def _scores(settings: Settings) -> Table:
    blended, final = (
        read_json(BLENDED / "metrics.json", "members", "cv_rows"),
        read_json(METRICS, *SCORES),
    )
    table = Table("accuracy", "", "note", title="Scores", title_justify="left")
    for name in settings.recipes:
        trained = read_json(TRAINED / name / "metrics.json", "folds", "cv_accuracy")
        for fold, score in enumerate(trained["folds"], start=1):
            table.add_row(f"{name}, fold {fold}", f"{score:.5f}")
        table.add_row(
            f"{name}, CV",
            f"{trained['cv_accuracy']:.5f}",
            f"spread over folds {trained['cv_accuracy_std']:.5f}; "
            f"weight {blended['members'][name]['weight']:.2f}",
        )
    low, high = final["cv_accuracy_low"], final["cv_accuracy_high"]
    table.add_row(
        "[bold]blend, CV",
        f"[bold]{final['cv_accuracy']:.5f}",
        f"95% interval {low:.5f} to {high:.5f}, of {blended['cv_rows']:,} rows",
    )
    if "leaderboard_accuracy" in final:
        score = f"[bold]{final['leaderboard_accuracy']:.5f}"
        table.add_row("[bold]local leaderboard", score, "digits whose labels no stage has seen")
        cv, board = (final["cv_accuracy"], blended["cv_rows"]), final["leaderboard_accuracy"]
        error = difference_error(cv, (board, settings.competition.test_rows or blended["cv_rows"]))
        beyond = beyond_chance(board - cv[0], error)
        said = "[red]beyond chance: is something leaking, or are the rows of another kind?"
        table.add_row(
            "leaderboard minus CV",
            f"{board - cv[0]:+.5f}",
            f"standard error {error:.5f}; {said if beyond else 'within chance'}",
        )
    return table


def _times(settings: Settings) -> Table:
    table = Table("stage", "time", title="Time, when last run", title_justify="left")
    for name, seconds in stage_seconds(settings.recipes).items():
        table.add_row(name, "-" if seconds is None else duration(seconds))
    return table


def print_summary(settings: Settings) -> None:
    """Print the scores of the last run, the seconds of each stage, and the next commands."""
    scores = _scores(settings)
    console.print(scores)
    console.print(_times(settings))
    # As typed from the checkout, whether .venv is active or not.
    kaggle = ".venv/bin/kaggle" if Path(".venv/bin/kaggle").exists() else "kaggle"
    message = f"CV {read_json(METRICS)['cv_accuracy']:.5f}"
    console.print(f"The file to send: {SUBMISSION}. Next:")
    console.print("  make ui                            # browse the runs in MLflow")
    console.print(
        f"  make submit MESSAGE='{message}'    # send it, once, and note it in the ledger"
    )
    console.print("or, as with any file:")
    console.print(
        f"  {kaggle} competitions submit -c {settings.competition.slug} "
        f"-f {SUBMISSION} -m '{message}'"
    )


def main() -> None:
    """Print the table of the last run again."""
    print_summary(load_settings())


if __name__ == "__main__":
    run_command(main)
