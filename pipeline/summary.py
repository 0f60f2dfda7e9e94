"""The table at the end of a run: how good it is, what it took, what comes next."""

import json
from pathlib import Path
from typing import Any

from rich.table import Table

from pipeline.config import Settings, load_settings
from pipeline.console import UserError, console, duration, run_command
from pipeline.stage import stage_seconds


def _read(path: str) -> Any:
    try:
        return json.loads(Path(path).read_text())
    except FileNotFoundError:
        raise UserError(f"{path} is missing; `make repro` makes it") from None


def print_summary(settings: Settings) -> None:
    """Print the scores of the last run, the seconds of each stage, and the next commands."""
    blended = _read("experiments/ensemble/metrics.json")
    final = _read("submissions/metrics.json")
    scores = Table("accuracy", "", "note", title="Scores", title_justify="left")
    for name in settings.recipes:
        trained = _read(f"experiments/train/{name}/metrics.json")
        for fold, score in enumerate(trained["folds"], start=1):
            scores.add_row(f"{name}, fold {fold}", f"{score:.5f}")
        scores.add_row(
            f"{name}, CV",
            f"{trained['cv_accuracy']:.5f}",
            f"spread over folds {trained['cv_accuracy_std']:.5f}; "
            f"weight {blended['members'][name]['weight']:.2f}",
        )
    low, high = final["cv_accuracy_low"], final["cv_accuracy_high"]
    scores.add_row(
        "[bold]blend, CV",
        f"[bold]{final['cv_accuracy']:.5f}",
        f"95% interval {low:.5f} to {high:.5f}",
    )
    if "leaderboard_accuracy" in final:
        score = f"[bold]{final['leaderboard_accuracy']:.5f}"
        scores.add_row("[bold]local leaderboard", score, "28,000 digits no stage has seen labelled")
    console.print(scores)

    stages = ["download", "preprocess", "tune", *(f"train-{name}" for name in settings.recipes)]
    times = Table("stage", "time", title="Time, when last run", title_justify="left")
    for name in [*stages, "ensemble", "submission"]:
        seconds = stage_seconds(name)
        times.add_row(
            name.replace("train-", "train@"), "-" if seconds is None else duration(seconds)
        )
    console.print(times)

    console.print("The file to send: submissions/submission.csv. Next:")
    console.print("  make ui                            browse the runs in MLflow")
    message = f"CV {final['cv_accuracy']:.5f}"
    console.print(
        f"  kaggle competitions submit -c {settings.competition.slug} "
        f"-f submissions/submission.csv -m '{message}'"
    )


def main() -> None:
    """Print the table of the last run again."""
    print_summary(load_settings())


if __name__ == "__main__":
    run_command(main)
