"""Is tuning worth its time? What pruning saves and costs; whether short trials rank like long ones.

Prints two tables; experiments/notes.md has their results. Each trained network is kept in the
cache, so an interrupted run resumes.
"""

from dataclasses import replace
from typing import Annotated, Any

import numpy as np
import optuna
import typer
from rich.table import Table
from scipy.stats import bootstrap, spearmanr

from pipeline.base.console import console, duration
from pipeline.base.settings import Settings, load_settings
from pipeline.data.arrays import Data, load_data
from pipeline.data.rows import tuning_rows
from pipeline.evaluation.scores import correct
from pipeline.network.task import Task
from pipeline.provenance.stage import stage
from pipeline.recipes.files import load_recipe, recipe_path, with_values
from pipeline.recipes.search import suggest
from pipeline.training.cache import run_tasks
from pipeline.training.engines import engine
from pipeline.training.folds import fold_tasks
from pipeline.training.progress import Progress
from pipeline.tuning.opening import open_study
from pipeline.tuning.pruning import CURVES
from pipeline.tuning.study import pruned
from pipeline.tuning.trials import run_trials

SHORT = ((3000, 3), (3000, 10), (10000, 3))  # rows and epochs of a trial


def pruning(settings: Settings, name: str, data: Data, pruners: list[Any]) -> Table:
    """Run the same study without pruning and with each pruner."""
    # Epochs beside seconds: a busy machine does not change those.
    columns = ("pruner", "trials", "pruned", "seconds", "of none", "epochs", "of none", "best")
    table, whole = Table(*columns, title=name), None
    for pruner in pruners:
        changed = settings.changed(tune={"pruner": pruner})
        with engine(settings) as team, open_study(changed, name, data) as study:
            run_trials(settings, study, team, lambda *_: None)
        trials = study.finished(settings.tune.trials)
        seconds = sum(trial.user_attrs["seconds"] for trial in trials)
        epochs = sum(len(curve) for trial in trials for curve in trial.user_attrs[CURVES].values())
        whole = whole or (seconds, epochs)
        complete = [trial for trial in trials if not pruned(trial)]
        table.add_row(
            pruner,
            str(len(trials)),
            str(len(trials) - len(complete)),
            duration(seconds),
            f"{seconds / whole[0]:.0%}",
            f"{epochs:,}",
            f"{epochs / whole[1]:.0%}",
            f"{max(trial.value or 0.0 for trial in complete):.4f}",
        )
    return table


def draw(settings: Settings, name: str, count: int) -> list[dict[str, Any]]:
    """The recipe's own choices, and random ones from its search space."""
    recipe = load_recipe(name)
    sampler = optuna.samplers.RandomSampler(seed=settings.seed)
    study = optuna.create_study(sampler=sampler)
    drawn = [suggest(recipe.search, study.ask()) for _ in range(count - 1)]
    return [recipe.own_choices(), *drawn]


def share_correct(tasks: list[Task], data: Data) -> tuple[float, float]:
    """The share of the tasks' held-out rows that is labelled right, and the seconds it took."""
    hits, seconds = [], 0.0
    learned = len(tasks[0].split(data.folds)[0])
    one = tasks[0]
    with Progress(one.name, len(tasks), one.epochs, 1, learned).shown() as report:
        for result in run_tasks(tasks, data, report):
            hits.append(correct(result.probabilities, data.train_labels[result.held_out]))
            seconds += sum(row["seconds"] for row in result.history)
    return float(np.concatenate(hits).mean()), seconds


def fidelity(settings: Settings, name: str, data: Data, count: int) -> Table:
    """Score the same settings in full on one fold, and by short trials on all folds."""
    recipe = load_recipe(name)
    columns: dict[tuple[int, int] | None, list[tuple[float, float]]] = {}
    for choices in draw(settings, name, count):
        tried = with_values(recipe, recipe.values(choices), recipe_path(name))
        tasks = [
            replace(task, test=False)
            for task in fold_tasks(settings, name, tried, len(data.classes))
        ]
        columns.setdefault(None, []).append(share_correct(tasks[:1], data))
        for rows, epochs in SHORT:
            slice_ = tuning_rows(
                settings.changed(tune={"rows": rows}), data.train_labels, data.folds
            )
            short = [replace(task, rows=tuple(slice_.tolist()), epochs=epochs) for task in tasks]
            columns.setdefault((rows, epochs), []).append(share_correct(short, data))
    full = np.array([score for score, _ in columns[None]])
    table = Table("rows", "epochs", "seconds a trial", "Spearman", "95%", title=f"{name}: {count}")
    for key, scored in columns.items():
        scores = np.array([score for score, _ in scored])
        seconds = float(np.median([taken for _, taken in scored]))
        agreed = spearmanr(scores, full).statistic
        spread = bootstrap(
            (scores, full), lambda a, b: spearmanr(a, b).statistic, paired=True,
            vectorized=False, method="percentile", n_resamples=2000, rng=settings.seed,
        ).confidence_interval  # fmt: skip
        shown = [str(each) for each in key] if key else ["all, one fold", str(recipe.epochs)]
        table.add_row(
            *shown, f"{seconds:.1f}", f"{agreed:.2f}", f"{spread.low:.2f} to {spread.high:.2f}"
        )
    return table


def main(
    recipe: Annotated[str, typer.Argument(help="A name in experiments/recipes/.")] = "compact",
    trials: Annotated[int, typer.Option(help="Of each study.")] = 40,
    drawn: Annotated[int, typer.Option(help="Settings to be ranked, short and in full.")] = 10,
    pruners: Annotated[
        str, typer.Option(help="To compare; the first is the measure.")
    ] = "none median hyperband",
) -> None:
    """Measure pruning, and how well short trials rank; over 45 minutes on 2 cores."""
    settings = load_settings().changed(tune={"trials": trials})
    with stage("benchmark-tune"):
        data = load_data()
        console.print(pruning(settings, recipe, data, pruners.split()))
        console.print(fidelity(settings, recipe, data, drawn))
