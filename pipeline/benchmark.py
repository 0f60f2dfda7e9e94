"""Runs recipes as they were published and on the embedded competition: accuracy and speed.

Every network goes through the cache, so that a benchmark cut short goes on where it was.
"""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import pandas as pd
import typer
from sklearn.model_selection import train_test_split

from pipeline.benchmark_table import write_tables
from pipeline.checkpoint import Epoch
from pipeline.competition import mnist
from pipeline.compute import Result, run_tasks
from pipeline.config import Settings, load_settings
from pipeline.console import UserError, duration, run_command, say
from pipeline.hardware import resolve_precision
from pipeline.leaderboard import leaderboard_accuracy
from pipeline.models import build_model, check_recipe
from pipeline.preprocess import assign_folds
from pipeline.recipe import RECIPES, Recipe, Split, load_recipe, recipe_path
from pipeline.scores import accuracy
from pipeline.seeds import random_key
from pipeline.side_by_side import workers
from pipeline.speed import measure_speed
from pipeline.stage import stage
from pipeline.task import Data, Task, load_data

FILE = Path("experiments/benchmark.csv")
HELD_OUT, LEARNED = 0, 1  # the folds of a holdout
NO_FOLD = 255


def holdout(labels: np.ndarray, share: float, key: int) -> np.ndarray:
    """Folds, uint8 (rows,), of a stratified share of the rows held out."""
    folds = np.full(len(labels), LEARNED, np.uint8)
    rows = np.arange(len(labels))
    folds[train_test_split(rows, test_size=share, stratify=labels, random_state=key)[1]] = HELD_OUT
    return folds


def networks(split: Split, data: Data, settings: Settings) -> Iterator[tuple[Data, int]]:
    """The data, with its folds, and the fold held out, of each network that `split` asks for."""
    rows = len(data.train_labels)
    for number in range(split.networks):
        if split.folds:
            folds = assign_folds(data.train_labels, split.folds, settings.seed)
            yield from ((replace(data, folds=folds), fold) for fold in range(split.folds))
        elif split.holdout and split.holdout_of == "train":
            key = random_key(settings.seed, "holdout", number)
            yield replace(data, folds=holdout(data.train_labels, split.holdout, key)), HELD_OUT
        else:
            yield replace(data, folds=np.zeros(rows, np.uint8)), NO_FOLD


def train(
    settings: Settings, name: str, recipe: Recipe, split: Split, data: Data
) -> tuple[list[Data], list[Result]]:
    """Train the networks that `split` asks for, one after the other."""

    def report(task: Task, history: list[Epoch]) -> None:
        row = history[-1]
        say(
            f"{name}  network {len(results) + 1}  epoch {int(row['epoch'])}/{task.epochs}"
            f"  loss {row['loss']:.4f}  accuracy {row['accuracy']:.4f}  {row['seconds']:.1f} s"
        )

    used: list[Data] = []
    results: list[Result] = []
    for own, fold in networks(split, data, settings):
        task = Task(
            name=name,
            recipe=recipe,
            classes=settings.competition.classes,
            epochs=recipe.epochs,
            precision=resolve_precision(settings.train.precision),
            seed=settings.seed,
            fold=fold,
        )
        used.append(own)
        results += run_tasks([task], own, report)
    return used, results


def scores(
    settings: Settings, split: Split, used: list[Data], results: list[Result], answers: np.ndarray
) -> dict[str, float]:
    """What the networks score, by the published names: validation, test, leaderboard."""
    found = {}
    blended = np.mean([result.test_probabilities for result in results], axis=0)
    if split.digits == "competition":
        found["leaderboard"] = leaderboard_accuracy(blended.argmax(1), settings.competition)
    elif split.holdout_of == "test" and split.holdout:
        halves = holdout(answers, split.holdout, key=1)
        for kind, half in (("validation", HELD_OUT), ("test", LEARNED)):
            found[kind] = accuracy(blended[halves == half], answers[halves == half])
    else:
        found["test"] = accuracy(blended, answers)
    if len(results[0].held_out):
        right = [
            result.probabilities.argmax(axis=1) == own.train_labels[result.held_out]
            for own, result in zip(used, results, strict=True)
        ]
        found["validation"] = float(np.concatenate(right).mean())
    return found


def score_recipe(settings: Settings, name: str, recipe: Recipe, data: Data) -> dict[str, Any]:
    """Run a recipe as it was published, then, if that was on other digits, on the competition's."""
    split, own, answers = recipe.split, data, np.zeros(0)
    if split.digits == "mnist":
        original = mnist()
        images = (each[..., None] for each in (original.train_images, original.test_images))
        own = Data(next(images), original.train_labels, next(images), np.zeros(0, np.uint8))
        answers = original.test_labels
    used, results = train(settings, name, recipe, split, own)
    row: dict[str, Any] = scores(settings, split, used, results, answers)
    epochs = [epoch["seconds"] for result in results for epoch in result.history]
    row |= {
        "networks": len(results),
        "epochs": len(epochs) / len(results),
        "epoch_seconds": float(np.median(epochs)),
        "seconds": sum(result.seconds for result in results),
    }
    if split.digits == "mnist":
        all_rows = Split()
        used, results = train(settings, name, recipe, all_rows, data)
        row |= scores(settings, all_rows, used, results, answers)
    return row


def average(
    settings: Settings, name: str, recipe: Recipe, data: Data, seeds: int, networks: int
) -> dict[Any, Any]:
    """A recipe's row: the mean, and of scores the spread, over its runs by `seeds` seeds."""
    split = recipe.split.model_copy(update={"networks": min(recipe.split.networks, networks)})
    shorter = recipe.model_copy(update={"split": split})
    runs = pd.DataFrame(
        score_recipe(
            settings.model_copy(update={"seed": settings.seed + number}), name, shorter, data
        )
        for number in range(seeds)
    )
    shape = recipe.input_shape(settings.competition.image_shape)
    network = build_model(recipe, shape, settings.competition.classes)
    row: dict[Any, Any] = {"recipe": name, "seeds": seeds, "parameters": network.count_params()}
    row |= {f"published_{kind}": score for kind, score in recipe.published.items()}
    row |= runs.mean().to_dict()
    if seeds > 1:
        kinds = [kind for kind in ("leaderboard", "test", "validation") if kind in runs]
        row |= runs[kinds].std().add_suffix("_std").to_dict()
    return row


def main(
    recipes: Annotated[list[str] | None, typer.Argument(help="Recipes; all if none.")] = None,
    seeds: Annotated[int, typer.Option(min=1, help="Runs of each, by as many seeds.")] = 1,
    networks: Annotated[int, typer.Option(min=1, help="Of each recipe's, at most.")] = 15,
) -> None:
    """Train recipes as published; write experiments/benchmark.csv and the README's table."""
    settings = load_settings()
    if settings.competition.source != "embedded":
        raise UserError("the benchmark needs `competition.source: embedded` in params.yaml")
    names = recipes or sorted(path.stem for path in RECIPES.glob("*.yaml"))
    with stage("benchmark"):
        data = load_data()
        shape, classes = settings.competition.image_shape, settings.competition.classes
        loaded = {name: load_recipe(name) for name in names}
        for name, recipe in loaded.items():
            check_recipe(recipe, recipe_path(name), shape, classes)
        # All training first: a process grown too large starts anew there, and the times do not
        # come from the cache.
        rows = {
            name: average(settings, name, recipe, data, seeds, networks)
            for name, recipe in loaded.items()
        }
        precision = resolve_precision(settings.train.precision)
        for name, recipe in loaded.items():
            row = rows[name] | measure_speed(recipe, data, classes, precision, workers(settings))
            write_tables(FILE, row)
            say(f"{name}: {duration(row['seconds'])} of training a run; {FILE} has its row")


if __name__ == "__main__":
    run_command(main)
