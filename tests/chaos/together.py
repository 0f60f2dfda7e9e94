"""Two at once: nothing is spoilt, and the second waits or is refused in plain words."""

import shutil
import subprocess
import sys
import time
import urllib.request
from pathlib import Path
from typing import Any

import yaml

from chaos import traces
from chaos.experiment import Experiment
from chaos.project import DONE, LIMIT, Project, last_line, require
from chaos.workshop import Workshop
from support.loopback import free_port

OTHER = "other"
REFUSALS = ("busy", "lock", "waiting for it")


def experiments() -> list[Experiment]:
    """Each pair."""
    pairs = {
        "two-repros-from-download": lambda shop: two_repros(shop, "download"),
        "two-repros-from-train": lambda shop: two_repros(shop, "train"),
        "two-recipes": two_recipes,
        "a-ui-beside": ui_beside,
        "two-clones": two_clones,
        "two-uploads": two_uploads,
    }
    return [Experiment("together", f"together-{name}", run) for name, run in pairs.items()]


def _finish(project: Project, *processes: subprocess.Popen[bytes]) -> list[int]:
    codes = [process.wait(LIMIT) for process in processes]
    project.settle()
    printed = project.printed()
    require("Traceback" not in printed, f"a traceback: {last_line(printed)}")
    return codes


def two_repros(shop: Workshop, before: str) -> dict[str, Any]:
    """Two `dvc repro` in one checkout, begun within a second of each other."""
    with shop.project(before) as project:
        first = project.start("dvc", "repro")
        time.sleep(project.random.random())
        second = project.start("dvc", "repro")
        codes = _finish(project, first, second)
        printed = project.printed()
        said = next((line for line in printed.splitlines()
                     if any(word in line for word in REFUSALS)), "")  # fmt: skip
        require(codes == [0, 0] or said, f"{codes}, and no line says why: {last_line(printed)}")
        project.repro()
        project.check()
        traces.check_mlflow(project, "train")
        traces.check_study(project, "train")
        return {"codes": codes, "said": said[:200]}


def two_recipes(shop: Workshop) -> dict[str, Any]:
    """Two `train` of different recipes in one checkout, at the same time."""
    with shop.project("train") as project:
        recipes = project.path / "experiments/recipes"
        shutil.copy(recipes / "tiny.yaml", recipes / f"{OTHER}.yaml")
        tuned = project.path / "experiments/tune"
        (tuned / f"{OTHER}.yaml").write_text("values: {}\ntaken: false\n")
        params = yaml.safe_load((project.path / "params.yaml").read_text())
        params["recipes"] = ["tiny", OTHER]
        (project.path / "params.yaml").write_text(yaml.safe_dump(params, sort_keys=False))
        both = [project.start(sys.executable, "-m", "pipeline", "train", name)
                for name in ("tiny", OTHER)]  # fmt: skip
        codes = _finish(project, *both)
        require(codes == [0, 0], f"{codes}: {last_line(project.printed())}")
        trained = project.path / f"experiments/train/{OTHER}"
        require((trained / "oof.npy").exists(), "no oof.npy")
        shutil.rmtree(trained)  # the undisturbed run has no such recipe
        (tuned / f"{OTHER}.yaml").unlink()
        project.check_so_far()
        traces.check_folders(project, "train")
        traces.check_mlflow(project, "train")
        statuses = {name: status for name, status, _ in traces.runs(project.path)}
        require(statuses.get(f"train {OTHER}") == "FINISHED", f"MLflow: {statuses}")
        return {}


def ui_beside(shop: Workshop) -> dict[str, Any]:
    """MLflow's UI, asked again and again, beside a training."""
    with shop.project("train") as project:
        port = free_port()
        project.start(sys.executable, "-m", "pipeline", "ui", "--port", str(port))
        dvc = project.start("dvc", "repro", "train@tiny")
        asked = 0
        while dvc.poll() is None:
            try:
                address = (
                    f"http://127.0.0.1:{port}/ajax-api/2.0/mlflow/experiments/search?max_results=5"
                )
                with urllib.request.urlopen(address, timeout=20) as answer:
                    asked += answer.status == 200
            except OSError:
                pass
            time.sleep(0.2)
        require(dvc.returncode == 0, last_line(project.printed()))
        project.check_so_far()
        traces.check_mlflow(project, "train")
        require("tracking stopped" not in project.printed(), last_line(project.printed()))
        return {"asked": asked}


def two_clones(shop: Workshop) -> dict[str, Any]:
    """Two clones that share finished folds, Optuna's studies and MLflow's database."""
    with shop.project("tune") as project, shop.project("tune", "clone") as clone:
        shared = project.path / "experiments"
        shutil.rmtree(clone.path / "experiments/cache", ignore_errors=True)
        (clone.path / "experiments/cache").symlink_to(shared / "cache")
        (clone.path / "experiments/mlflow.db").symlink_to(shared / "mlflow.db")
        both = [each.start("dvc", "repro", "train@tiny") for each in (project, clone)]
        for each, process in zip((project, clone), both, strict=True):
            code = process.wait(2 * LIMIT)
            require(code == 0, f"{each.path.name}: {last_line(each.printed())}")
        for each in (project, clone):
            each.settle()
            each.check_so_far()
            traces.check_study(each, "train")
        found = traces.runs(project.path)
        still = [name for name, status, _ in found if status == "RUNNING"]
        require(not still, f"MLflow: left RUNNING: {still}")
        waited = any("waiting for it" in each.printed() for each in (project, clone))
        return {"waited": waited}


def two_uploads(shop: Workshop) -> dict[str, Any]:
    """Two `python -m pipeline upload` of one file: it is sent once."""
    with shop.project(DONE) as project:
        command = (
            sys.executable,
            "-m",
            "pipeline",
            "upload",
            "-m",
            "both",
            "--force",
            "slice",
        )
        codes = _finish(project, project.start(*command), project.start(*command))
        require(sorted(codes) == [0, 1], f"{codes}: {last_line(project.printed())}")
        require("was sent on" in project.printed(), last_line(project.printed()))
        ledger: Path = project.path / "submissions/ledger.csv"
        require(len(ledger.read_text().splitlines()) == 2, "the ledger has not one row")
        return {}
