"""What one more trial, fold or run costs where there are many already, on made-up entries."""

import json
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import optuna
from optuna.distributions import BaseDistribution, FloatDistribution
from optuna.samplers import TPESampler
from optuna.storages import JournalStorage
from optuna.storages.journal import JournalFileBackend
from optuna.trial import create_trial
from rich.table import Table

from pipeline.base.console import console
from pipeline.base.digests import sha256_json
from pipeline.base.paths import CACHE
from pipeline.tracking.mlflow_store import Store
from pipeline.training.cache import finished
from pipeline.tuning.append_only import note_digest

SIZES = (100, 1_000, 10_000)
SPACE: dict[str, BaseDistribution] = {
    "rate": FloatDistribution(0, 1),
    "momentum": FloatDistribution(0, 1),
}


def growth() -> None:
    """Print what one more costs, at each size."""
    CACHE.mkdir(parents=True, exist_ok=True)
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    table = Table("seconds", *(f"{size:,}" for size in SIZES), title="with so many already")
    rows: dict[str, list[float]] = {}
    with tempfile.TemporaryDirectory(dir=CACHE) as name:
        for size in SIZES:
            folder = Path(name) / str(size)
            folder.mkdir()
            for kind in (_trials, _folds, _runs):
                for what, seconds in kind(folder, size).items():
                    rows.setdefault(what, []).append(seconds)
    for what, found in rows.items():
        table.add_row(what, *(f"{seconds:.3f}" for seconds in found))
    console.print(table)


def _seconds(action: Callable[[], Any]) -> float:
    began = time.perf_counter()
    action()
    return time.perf_counter() - began


def _trials(folder: Path, size: int) -> dict[str, float]:
    """A study of so many trials: opening it, drawing another, telling it."""
    path = folder / "study.log"

    def opened() -> optuna.Study:
        storage = JournalStorage(JournalFileBackend(str(path)))
        return optuna.create_study(storage=storage, study_name="study", load_if_exists=True)

    study = opened()
    study.add_trials(
        [
            create_trial(
                params={"rate": number % 97 / 97, "momentum": number % 89 / 89},
                distributions=SPACE,
                value=number % 101 / 101,
                user_attrs={"curves": {"0": [0.9] * 20}, "seconds": 9.0, "number": number},
            )
            for number in range(size)
        ]
    )
    found = {"open a study": _seconds(opened)}
    study.sampler = TPESampler(seed=0)
    trial = study.ask()

    def draw() -> None:
        for key in SPACE:
            trial.suggest_float(key, 0, 1)

    found["draw a trial"] = _seconds(draw)
    found["tell a trial"] = _seconds(lambda: study.tell(trial, 0.5))
    found["note the journal's digest"] = _seconds(lambda: note_digest(path))
    found["list the trials that ended"] = _seconds(lambda: study.get_trials(deepcopy=False))
    return found


def _folds(folder: Path, size: int) -> dict[str, float]:
    """A cache of so many folds: looking one up."""
    for number in range(size):
        path = folder / f"{number:024x}"
        path.mkdir()
        done: dict[str, Any] = {"sha256": {}}
        (path / "done.json").write_text(json.dumps(done | {"itself": sha256_json(done)}))
    return {"look a fold up": _seconds(lambda: finished(folder / f"{size // 2:024x}"))}


def _runs(folder: Path, size: int) -> dict[str, float]:
    """MLflow's database with so many runs: beginning, logging and ending another."""
    store = Store(None, (folder / "mlflow.db").resolve(), "many")
    client, experiment = store.client, store.experiment
    for _ in range(size // 10):  # each takes a while; the figure is of a tenth of the size
        client.create_run(experiment)

    def one_more() -> None:
        run = client.create_run(experiment).info.run_id
        client.log_metric(run, "accuracy", 0.9)
        client.set_terminated(run)

    return {"log a run (of a tenth as many)": _seconds(one_more)}
