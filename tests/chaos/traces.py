"""What a run leaves beside its files: folders, MLflow's runs, Optuna's trials."""

import re
import sqlite3
import time
import warnings
from collections import Counter
from contextlib import closing
from pathlib import Path
from typing import Any

from chaos.project import STAGES, Project, require

# The folder of a stage, and the runs it has in MLflow.
OWNED = {
    "download": "data/raw",
    "preprocess": "data/arrays",
    "tune": "experiments/tune",
    "train": "experiments/train/tiny",
    "ensemble": "experiments/ensemble",
    "submission": "submissions",
}
RUNS = {
    "tune": ("tune tiny", "tiny trial 1", "tiny trial 2"),
    "train": ("train tiny", "tiny fold 1", "tiny fold 2"),
    "ensemble": ("ensemble",),
    "submission": ("submission",),
}

# A network, and an epoch of it, as the train stage tells them; a trial's are told again as found.
EPOCH = re.compile(r"  tiny (fold \d+)  epoch +(\d+)/")

RUNS_QUERY = """
SELECT name, status, coalesce(value, '') FROM runs
LEFT JOIN tags ON tags.run_uuid = runs.run_uuid AND tags.key = 'mlflow.parentRunId'
WHERE lifecycle_stage = 'active'
"""


def check_folders(project: Project, stage: str) -> None:
    """The stage's folder holds its files and nothing else, and no fold is left unfinished."""
    names, wanted = (
        {file.name for file in (root / OWNED[stage]).iterdir()}
        for root in (project.path, project.reference)
    )
    require(names == wanted, f"{OWNED[stage]}: {sorted(names ^ wanted)} beside the files")
    if stage in ("tune", "train"):
        left = [path.name for path in (project.path / "experiments/cache").glob("*.partial")]
        require(not left, f"unfinished folds: {left}")


def repeated_epochs(project: Project) -> int:
    """How many epochs of a network were told twice, by all that the project's commands printed.

    Raises:
        FailedError: no epoch was told at all, or one network's more than once.
    """
    told = Counter(EPOCH.findall(project.printed()))
    require(told, "no epoch was told")
    repeated = Counter(network for (network, _), times in told.items() for _ in range(times - 1))
    require(max(repeated.values(), default=0) <= 1, f"trained twice: {repeated}")
    return repeated.total()


def runs(path: Path, name: str = "experiments/mlflow.db") -> list[tuple[str, str, str]]:
    """Each run's name, status and parent in all experiments of a project's MLflow database."""
    database = path / name
    if not database.exists():
        return []
    with closing(sqlite3.connect(f"file:{database.resolve()}?mode=ro", uri=True)) as connection:
        return list(connection.execute(RUNS_QUERY))


def check_mlflow(project: Project, stage: str, seconds: float = 15.0) -> None:
    """No run is left open, and each of the stage's has been finished once.

    What a killed stage had noted comes in a little later.
    """
    deadline = time.monotonic() + seconds
    while True:
        found = runs(project.path)
        still = [name for name, status, _ in found if status in ("RUNNING", "SCHEDULED")]
        finished = Counter(name for name, status, _ in found if status == "FINISHED")
        missing = [name for name in RUNS.get(stage, ()) if not finished[name]]
        if not still and not missing:
            break
        require(
            time.monotonic() < deadline,
            f"MLflow: left RUNNING: {still}; not FINISHED: {missing}",
        )
        time.sleep(0.5)
    under = Counter(
        (name, parent) for name, status, parent in found if parent and status == "FINISHED"
    )
    twice = [name for (name, _), times in under.items() if times > 1]
    require(not twice, f"MLflow: logged twice: {twice}")


def trials(path: Path) -> list[Any]:
    """The trials of a project's one study, by number."""
    import optuna
    from optuna.storages import JournalStorage
    from optuna.storages.journal import JournalFileBackend

    (journal,) = path.glob("experiments/cache/tune/*.log")
    with warnings.catch_warnings(action="ignore"):
        study = optuna.load_study(
            study_name="tiny", storage=JournalStorage(JournalFileBackend(str(journal)))
        )
    return study.get_trials(deepcopy=False)


def check_study(project: Project, stage: str) -> None:
    """No trial was lost or is left running, and each has the undisturbed run's value."""
    if list(STAGES).index(stage) < list(STAGES).index("tune"):
        return

    def ended(path: Path) -> list[tuple[str, Any, Any]]:
        return [
            (trial.state.name, trial.value, trial.params)
            for trial in trials(path)
            if trial.state.name != "FAIL"
        ]

    mine, wanted = ended(project.path), ended(project.reference)
    require(mine == wanted, f"Optuna: {mine} where an undisturbed run has {wanted}")
