"""One undisturbed run of the small project, kept as it was before each stage, and copies of it."""

import contextlib
import os
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from random import Random

import psutil
import yaml

from chaos.project import DONE, TARGETS, Project, write_params
from pipeline.base.digests import sha256_files, sha256_json
from support.checkout import commit, copy_checkout
from support.project import REPOSITORY, TINY

# What is only ever replaced as a whole may be linked instead of copied.
LINKED = (".dvc/cache", ".git/objects", "data")


class Workshop:
    """Makes projects: the undisturbed run once, by stages, and a copy of it for an experiment."""

    def __init__(
        self, folder: Path, random: Random, stages: tuple[str, ...] = (), epochs: int = 40
    ) -> None:
        self.folder, self.random, self.stages = folder, random, stages or tuple(TARGETS)
        self.epochs = epochs
        self.base = folder / f"base-{_digest()}"
        self.current: list[Project] = []

    def seconds(self, stage: str) -> float:
        """How long the stage takes undisturbed, in seconds, from its process's start."""
        name = f"{stage}-tiny" if stage in ("tune", "train") else stage
        return float((self.base / DONE / f"experiments/cache/seconds/{name}.json").read_text())

    def make_base(self) -> None:
        """Run the pipeline stage by stage, and keep the project as it was before each."""
        if (self.base / DONE).exists():
            return
        for old in self.folder.glob("base-*"):
            shutil.rmtree(old)
        work = self.folder / "work"
        project = Project(work, work, self.random)
        clear(project)
        params = yaml.safe_load((REPOSITORY / "params.yaml").read_text())
        params["recipes"], params["preprocess"]["folds"] = ["tiny"], 2
        copy_checkout(work, params)
        write_params(work, compute={"workers": 2}, train={"epochs": self.epochs})
        for stage in self.stages:
            self._keep(work, stage)
            project.repro(TARGETS[stage])
        project.settle()
        commit(work)
        self._keep(work, DONE)

    def _keep(self, work: Path, name: str) -> None:
        self.base.mkdir(parents=True, exist_ok=True)
        copy_project(work, self.base / f".{name}")
        (self.base / f".{name}").rename(self.base / name)

    @contextlib.contextmanager
    def project(self, before: str, name: str = "work") -> Iterator[Project]:
        """Yield a copy of the project as it was before a stage; end its processes afterwards."""
        path = self.folder / name
        project = Project(path, self.base / DONE, self.random)
        clear(project)
        copy_project(self.base / before, path)
        # Modules on which no stage's files depend may have changed since.
        shutil.copytree(REPOSITORY / "pipeline", path / "pipeline", dirs_exist_ok=True)
        project.log.unlink(missing_ok=True)
        try:
            yield project
        finally:
            project.end_all()


def clear(project: Project) -> None:
    """End and unmount what a `make chaos` that was killed left of a project, and remove it."""
    project.end_all()
    for mount in psutil.disk_partitions(all=True):
        if Path(mount.mountpoint).is_relative_to(project.path):
            subprocess.run(["umount", "-l", mount.mountpoint], check=True)
    shutil.rmtree(project.path, ignore_errors=True)


def copy_project(source: Path, target: Path) -> None:
    """Copy a checkout, linking what is never changed in place."""

    def take(one: str, other: str) -> None:
        name = os.path.relpath(one, source)
        if name.startswith(LINKED):
            os.link(one, other)
        else:
            shutil.copy2(one, other)

    shutil.rmtree(target, ignore_errors=True)
    shutil.copytree(source, target, symlinks=True, copy_function=take)


def _digest() -> str:
    """A name for all that decides what the undisturbed run makes."""
    stages = yaml.safe_load((REPOSITORY / "dvc.yaml").read_text())["stages"].values()
    deps = {dep for stage in stages for dep in stage.get("do", stage)["deps"]}
    code = [REPOSITORY / dep for dep in deps if dep.startswith("pipeline/")]
    files = [file for path in code for file in (path.rglob("*.py") if path.is_dir() else [path])]
    files += [REPOSITORY / "dvc.yaml", REPOSITORY / "params.yaml"]
    return sha256_json([sha256_files(files), TINY])[:12]
