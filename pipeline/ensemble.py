"""Stage: the recipes' out-of-fold predictions -> blend weights, blended probabilities, plots."""

from typing import Any

import numpy as np
import pandas as pd
from sklearn.metrics import log_loss

from pipeline import tracking
from pipeline.config import Settings, load_settings
from pipeline.console import UserError, run_command, say
from pipeline.files import (
    ARRAYS,
    BLENDED,
    TRAINED,
    read_array,
    read_json,
    remove_unfinished,
    replacing,
    sha256_json,
    write_array,
    write_json,
)
from pipeline.model_plan import member, plan
from pipeline.pictures import Predictions, draw
from pipeline.recipe import load_recipe
from pipeline.scores import accuracy, interval
from pipeline.stage import stage
from pipeline.tuned import judged_rows

HILL_STEPS = 50


def hill_climb(members: np.ndarray, labels: np.ndarray) -> np.ndarray:
    """Weights by forward selection with replacement (Caruana et al., 2004), by log loss.

    Of the rows that some member gets wrong: on the others every blend is right, and log loss would
    only ask how sure it is, which label smoothing and the length of a training decide.

    Args:
        members: float (members, rows, classes), probabilities for rows the models did not see.
        labels: int (rows,).

    Returns:
        float64 (members,), summing to 1.
    """
    rows = np.flatnonzero((members.argmax(axis=2) != labels).any(axis=0))
    if not len(rows):
        return np.full(len(members), 1 / len(members))
    of_label = np.clip(members[:, rows, labels[rows]].astype(np.float64), 1e-7, 1.0)
    counts = np.zeros(len(members))
    best_counts, best_loss = counts, np.inf
    chosen = np.zeros(len(rows))
    for step in range(1, HILL_STEPS + 1):
        losses = [-np.log((chosen + each) / step).mean() for each in of_label]
        pick = int(np.argmin(losses))
        counts[pick] += 1
        chosen += of_label[pick]
        if losses[pick] < best_loss:
            best_counts, best_loss = counts.copy(), losses[pick]
    return best_counts / best_counts.sum()


def choose_weights(members: np.ndarray, labels: np.ndarray, method: str) -> np.ndarray:
    """The members' weights, float64 (members,), by `ensemble.method`."""
    if method == "mean" or len(members) == 1:
        return np.full(len(members), 1 / len(members))
    return hill_climb(members, labels)


def blend(members: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """Weighted mean of the members' probabilities, float32 (rows, classes)."""
    return np.einsum("m,mrc->rc", weights, members).astype(np.float32)


def nested_blend(
    members: np.ndarray, labels: np.ndarray, folds: np.ndarray, method: str
) -> np.ndarray:
    """Blend each fold by weights chosen on the other folds: a score not flattered by them."""
    blended = np.zeros(members.shape[1:], np.float32)
    for fold in np.unique(folds):
        held_out = folds == fold
        weights = choose_weights(members[:, ~held_out], labels[~held_out], method)
        blended[held_out] = blend(members[:, held_out], weights)
    return blended


def read_members(settings: Settings, rows: int) -> tuple[np.ndarray, np.ndarray]:
    """The listed recipes' out-of-fold and test probabilities, (members, rows, classes) each."""
    read: dict[str, list[np.ndarray]] = {"oof": [], "test": []}
    for name in sorted(settings.recipes):  # listed otherwise, the same sums
        for kind, arrays in read.items():
            arrays.append(read_array(TRAINED / name / f"{kind}.npy"))
        if len(read["oof"][-1]) != rows or len(read["test"][-1]) != len(read["test"][0]):
            raise UserError(
                f"{TRAINED / name}/oof.npy has other rows than {ARRAYS}; run `dvc repro`"
            )
    return np.stack(read["oof"]), np.stack(read["test"])


def blends_as_members_are_added(
    names: tuple[str, ...],
    members: np.ndarray,
    weights: np.ndarray,
    labels: np.ndarray,
    folds: np.ndarray,
    method: str,
) -> list[tuple[str, np.ndarray]]:
    """Each member, heaviest first, and the nested blend of it and those before it."""
    order = np.argsort(-weights, kind="stable")
    return [
        (names[last], nested_blend(members[order[: count + 1]], labels, folds, method))
        for count, last in enumerate(order)
    ]


def collect_history(recipes: tuple[str, ...]) -> None:
    """One table of all recipes' training, the mean over folds, for DVC's plots."""
    tables = []
    for name in recipes:
        table = pd.read_csv(TRAINED / name / "history.csv")
        tables.append(table.groupby("epoch", as_index=False).mean().assign(recipe=name))
    columns = ["recipe", "epoch", "loss", "val_loss", "accuracy", "val_accuracy"]
    with replacing(BLENDED / "history.csv") as temporary:
        pd.concat(tables)[columns].to_csv(temporary, index=False, lineterminator="\n")


def make_blend(settings: Settings) -> dict[str, Any]:
    """Choose weights, write the blend and its pictures, return its metrics."""
    labels = np.asarray(read_array(ARRAYS / "train_labels.npy"))
    folds = read_array(ARRAYS / "folds.npy")
    members, tests = read_members(settings, len(labels))
    method = settings.ensemble.method
    weights = choose_weights(members, labels, method)
    nested = nested_blend(members, labels, folds, method)
    write_array(BLENDED / "oof.npy", nested)
    write_array(BLENDED / "test.npy", blend(tests, weights))
    collect_history(settings.recipes)
    judged = judged_rows(settings, settings.recipes, labels, folds)
    names = tuple(sorted(settings.recipes))
    added = blends_as_members_are_added(names, members, weights, labels, folds, method)
    test = read_array(BLENDED / "test.npy")
    draw(Predictions(names, members, added, nested, test, labels, folds, judged))
    nested, members, labels = nested[judged], members[:, judged], labels[judged]
    low, high = interval(nested, labels)
    write_array(BLENDED / "correct.npy", nested.argmax(axis=1) == labels)
    return {
        "cv_accuracy": accuracy(nested, labels),
        "cv_accuracy_low": low,
        "cv_accuracy_high": high,
        "cv_rows": len(labels),
        "cv_rows_sha256": sha256_json([judged.tolist(), labels.tolist()]),
        "cv_log_loss": float(log_loss(labels, nested / nested.sum(1, keepdims=True))),
        "members": {
            name: {"weight": round(float(weight), 6), "cv_accuracy": accuracy(oof, labels)}
            for name, weight, oof in zip(names, weights, members, strict=True)
        },
    }


def log_blend(settings: Settings, run: str | None, metrics: dict[str, Any]) -> None:
    """Log all networks, as they are blended, as one model, and enter it in the registry."""
    members, files = [], {"correct.npy": BLENDED / "correct.npy"}
    for name in sorted(settings.recipes):
        networks = {f"{name}_{path.stem}": path for path in sorted(TRAINED.glob(f"{name}/*.keras"))}
        weight = metrics["members"][name]["weight"]
        recipe = load_recipe(name, tuned=True)
        members.append(member(settings, name, recipe, list(networks), weight))
        files |= networks
    example = np.asarray(read_array(ARRAYS / "test_images.npy")[:2])
    register = {"rows_sha256": metrics["cv_rows_sha256"]}
    tracking.log_model(run, plan(settings, members, example), files, register=register)


def main() -> None:
    """Blend the recipes of params.yaml."""
    settings = load_settings()
    with stage("ensemble"):
        tracking.start(settings)
        remove_unfinished(BLENDED)
        metrics = make_blend(settings)
        key = sha256_json([settings.model_dump(mode="json", exclude={"tracking"}), metrics])
        write_json(BLENDED / "metrics.json", metrics | {"run_key": key})
        with tracking.run(settings, "ensemble", key=key) as run_id:
            numbers = tracking.flatten(metrics)
            numbers.pop("cv_rows_sha256")
            tracking.log_metrics(run_id, numbers)
            for picture in read_json(BLENDED / "pictures.json"):
                tracking.log_file(run_id, BLENDED / picture["file"])
            log_blend(settings, run_id, metrics)
    say(
        f"blend: CV accuracy {metrics['cv_accuracy']:.5f} "
        f"({metrics['cv_accuracy_low']:.5f} to {metrics['cv_accuracy_high']:.5f}) of "
        + ", ".join(f"{name} x {each['weight']:.2f}" for name, each in metrics["members"].items())
    )


if __name__ == "__main__":
    run_command(main)
