"""Stage, one a recipe: k folds -> experiments/train/<recipe>/, with out-of-fold probabilities."""

import shutil
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import pandas as pd
import typer

from pipeline import findings, plots, tracking
from pipeline.augment import augment
from pipeline.compute import Result
from pipeline.config import Settings, load_settings
from pipeline.console import UserError, duration, run_command, say
from pipeline.files import TRAINED, remove_others, replacing, sha256_json, write_array, write_json
from pipeline.folds import Progress, fold_tasks, label
from pipeline.hardware import cores, describe, one_thread, tf
from pipeline.model_plan import member, plan
from pipeline.models import check_recipe
from pipeline.recipe import load_recipe, recipe_path
from pipeline.scores import accuracy
from pipeline.seeds import random_key
from pipeline.side_by_side import run_side_by_side, workers
from pipeline.stage import stage
from pipeline.task import Data, Task, fingerprint, input_images, load_data
from pipeline.tuned import judged_rows


def model_name(task: Task) -> str:
    """`fold0.keras`, or of a repeat `fold0_repeat1.keras`."""
    return f"fold{task.fold}" + (f"_repeat{task.repeat}" if task.repeat else "") + ".keras"


def log_fold(
    settings: Settings, parent: str | None, task: Task, result: Result, data: Data
) -> None:
    """Log a finished fold as a child of the recipe's run."""
    score = accuracy(result.probabilities, data.train_labels[result.held_out])
    with tracking.run(
        settings, f"{task.name} {label(task)}", key=result.fingerprint, parent=parent
    ) as run_id:
        tracking.log_history(run_id, result.history)
        seconds = sum(row["seconds"] for row in result.history)
        rows = (len(data.train_labels) - len(result.held_out)) * len(result.history)
        tracking.log_metrics(
            run_id,
            {
                "fold_accuracy": score,
                "fold_seconds": result.seconds,
                "images_per_second": rows / seconds,
            },
        )
        network = member(settings, task.name, task.recipe, ["network"])
        example = np.asarray(data.train_images[result.held_out[:2]])
        made = plan(settings, [network], example)
        tracking.log_model(run_id, made, {"network": result.model})


def draw_augmented(task: Task, data: Data, path: Path) -> None:
    """A few training images as they are, and as augmentation changes them, before scaling."""
    shown = findings.first_of_each(data.train_labels, task.classes, 1)
    rows = np.concatenate(list(shown.values()))[:10]
    images = input_images(task, data, rows)
    columns = [images]
    for epoch in range(9):
        seed = tf.constant([random_key(task.seed, task.name, "picture"), epoch], tf.int64)
        changed = augment(tf.constant(images, tf.float32), seed, task.recipe.augmentation)
        columns.append(np.clip(np.rint(changed), 0, 255).astype(np.uint8))
    names = [str(label) for label in data.train_labels[rows]]
    title = f"{task.name}: as it is (first column), and augmented"
    plots.mosaic(dict(zip(names, np.stack(columns, axis=1), strict=True)), path, title)


def out_of_fold(tasks: list[Task], results: list[Result], rows: int) -> np.ndarray:
    """Each row's probabilities by the networks that did not see it, float64 (rows, classes).

    Raises:
        UserError: a training diverged.
    """
    repeats = 1 + max(task.repeat for task in tasks)
    oof = np.zeros((rows, tasks[0].classes), np.float64)
    for task, result in zip(tasks, results, strict=True):
        if not np.isfinite(result.probabilities).all():
            raise UserError(f"{task.name}: {label(task)} diverged; lower its learning rate")
        oof[result.held_out] += result.probabilities / repeats
    return oof


def collect(
    tasks: list[Task],
    results: list[Result],
    data: Data,
    judged: np.ndarray,
    folder: Path,
    key: str,
) -> dict[str, Any]:
    """Write the networks' results as one, into `folder`, and return its metrics.

    Args:
        tasks: every fold, each as often as there are repeats.
        results: theirs.
        data: what they were trained on.
        judged: the rows that the accuracies are of, bool (rows,).
        folder: where to write.
        key: of the run in MLflow, by which a later stage finds it.
    """
    labels, oof = data.train_labels, out_of_fold(tasks, results, len(data.train_labels))
    for task, result in zip(tasks, results, strict=True):
        with replacing(folder / model_name(task)) as temporary:
            shutil.copyfile(result.model, temporary)
    write_array(folder / "oof.npy", oof.astype(np.float32))
    test = np.mean([result.test_probabilities for result in results], axis=0, dtype=np.float64)
    write_array(folder / "test.npy", np.asarray(test, np.float32))
    history = pd.concat(
        pd.DataFrame(result.history).assign(fold=task.fold, repeat=task.repeat)
        for task, result in zip(tasks, results, strict=True)
    )
    with replacing(folder / "history.csv") as temporary:
        history.to_csv(temporary, index=False, lineterminator="\n")
    plots.curves(history, folder / "curves.png", folder.name)
    draw_augmented(tasks[0], data, folder / "augmented.png")
    of_fold = [judged & (data.folds == fold) for fold in np.unique(data.folds)]
    scores = [accuracy(oof[rows], labels[rows]) for rows in of_fold]
    metrics = {
        "cv_accuracy": accuracy(oof[judged], labels[judged]),
        "cv_accuracy_std": float(np.std(scores, ddof=1)),
        "folds": scores,
        "seconds": sum(result.seconds for result in results),
        "run_key": key,
        "epochs": tasks[0].epochs,
        "precision": tasks[0].precision,
        "machine": describe() | {"cores": cores()},
    }
    write_json(folder / "metrics.json", metrics)
    models = {model_name(task) for task in tasks}
    written = {"oof.npy", "test.npy", "history.csv", "curves.png", "augmented.png", "metrics.json"}
    remove_others(folder, models | written)
    return metrics


def main(recipe: Annotated[str, typer.Argument(help="A name in experiments/recipes/.")]) -> None:
    """Train a recipe on every fold; a fold finished before is not trained again."""
    settings = load_settings()
    load_recipe(recipe)  # before its name becomes a file's
    one_thread()
    with stage(f"train-{recipe}"):
        data = load_data()
        tasks = fold_tasks(settings, recipe, load_recipe(recipe, tuned=True))
        path, shape = recipe_path(recipe), data.train_images.shape[1:]
        check_recipe(tasks[0].recipe, path, shape, settings.competition.classes)
        at_once = workers(settings)
        say(
            f"{recipe}: {len(tasks)} networks, {at_once} at a time, {tasks[0].epochs} epochs, "
            f"{tasks[0].precision}"
        )
        params = {"recipe": {"name": recipe} | tasks[0].recipe.model_dump(exclude={"search"})}
        params |= {"resolved": {"epochs": tasks[0].epochs, "precision": tasks[0].precision}}
        params |= {"machine": describe(), "data_sha256": data.digests}
        key = sha256_json([fingerprint(task, data) for task in tasks])
        with tracking.run(settings, f"train {recipe}", key=key, params=params) as run_id:
            for use, arrays in (("training", "train"), ("test", "test")):
                name = f"{arrays}_images"
                rows = len(getattr(data, name))
                tracking.log_data(run_id, name, data.digests[name], rows, use)
            results = []
            jobs = [(task, data) for task in tasks]
            trained = run_side_by_side(jobs, at_once, Progress(recipe, tasks, at_once))
            for task, result in zip(tasks, trained, strict=True):
                results.append(result)
                log_fold(settings, run_id, task, result, data)
            judged = judged_rows(settings, (recipe,), data.train_labels, data.folds)
            metrics = collect(tasks, results, data, judged, TRAINED / recipe, key)
            tracking.log_metrics(
                run_id,
                {name: metrics[name] for name in ("cv_accuracy", "cv_accuracy_std", "seconds")},
            )
            for picture in ("curves.png", "augmented.png"):
                tracking.log_file(run_id, TRAINED / recipe / picture)
    spent = duration(metrics["seconds"])
    say(f"{recipe}: CV accuracy {metrics['cv_accuracy']:.5f}; trained for {spent} in all")


if __name__ == "__main__":
    run_command(main)
