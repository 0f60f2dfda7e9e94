"""What to try next, as far as a run's own numbers say."""

import numpy as np

from pipeline.facts import Run, table
from pipeline.files import BLENDED, TRAINED
from pipeline.findings import confused_pairs
from pipeline.scores import beyond_chance


def advice(run: Run) -> list[tuple[str, str]]:
    """What was found, and what it suggests; the most to be gained first.

    Raises:
        UserError: a file of the run is missing or damaged.
    """
    return [_classes(run), _labels(run), *_fit(run), *_leaderboard(run), _blend(run)]


def _classes(run: Run) -> tuple[str, str]:
    said = table(BLENDED / "predictions.csv", "actual", "predicted")
    classes = run.settings.competition.classes
    counts = np.zeros((classes, classes), int)
    np.add.at(counts, (said["actual"].to_numpy(), said["predicted"].to_numpy()), 1)
    pairs = confused_pairs(counts)[:3]
    if not pairs:
        return "No errors", "Out-of-fold, every row is right: harder rows are needed to see more."
    share = sum(count for *_, count in pairs) / (counts.sum() - counts.trace())
    named = ", ".join(f"{a} and {b} ({count})" for a, b, count in pairs)
    return (
        "Classes taken for each other",
        f"{named}: {share:.0%} of all errors. Look at their worst errors below: is it the label, "
        "the stroke, or an augmentation that makes one look like the other?",
    )


def _labels(run: Run) -> tuple[str, str]:
    found = len(table(BLENDED / "suspects.csv", "row", "label", "predicted"))
    return (
        "Labels in doubt",
        f"{found:,} labels may be wrong, beside {run.errors:,} errors counted. No network can be "
        "right on a wrong label but by chance; what is left above them is the room there is.",
    )


def _fit(run: Run) -> list[tuple[str, str]]:
    said = []
    for name, trained in run.trained.items():
        history = table(TRAINED / name / "history.csv", "epoch", "accuracy")
        training = history[history["epoch"] == history["epoch"].max()]["accuracy"].mean()
        missed, missed_new = 1 - training, 1 - trained["cv_accuracy"]
        numbers = f"Wrong of augmented training images, last epoch, {missed:.2%}; of new rows, "
        numbers += f"in CV, {missed_new:.2%}"
        if missed < missed_new / 2:
            hint = "it knows its rows better than new ones; more augmentation or dropout may pay"
        elif missed > missed_new:
            hint = "it has not learned all it could; more epochs or a wider network may pay"
        else:
            hint = "neither overfitting nor much room; other members may give more"
        said.append((f"Fit of {name}", f"{numbers}: {hint}."))
    return said


def _leaderboard(run: Run) -> list[tuple[str, str]]:
    if run.gap is None:
        return []
    gap, error = run.gap
    if not beyond_chance(gap, error):
        hint = "chance explains it: choose by CV, the leaderboard has nothing to add"
    elif gap > 0:
        hint = (
            "more than chance: the leaderboard is scored by all folds' networks together, CV by "
            "one a row"
        )
    else:
        hint = "CV promises too much: look for a leak, duplicates, or test rows of another kind"
    return [("Leaderboard minus CV", f"{gap:+.5f}, standard error of chance {error:.5f}; {hint}.")]


def _blend(run: Run) -> tuple[str, str]:
    if len(run.members) == 1:
        return (
            "One member",
            "The blend is one recipe. Another one that errs elsewhere, as few errors as it may "
            "mend, is added by its name to params.yaml, under recipes.",
        )
    best = max(each["cv_accuracy"] for each in run.members.values())
    idle = [name for name, each in run.members.items() if each["weight"] < 0.005]
    text = f"The blend is {run.cv - best:+.5f} against its best member."
    if idle:
        text += f" No weight on {', '.join(idle)}: leaving out what adds nothing saves its time."
    return "Members", text
