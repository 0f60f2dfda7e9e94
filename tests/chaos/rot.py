"""A byte flipped where something is kept: noticed before it is used, and rebuilt or refused."""

import os
import re
import shutil
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from random import Random
from typing import Any

from chaos import traces
from chaos.experiment import Experiment
from chaos.project import DONE, Project, last_line, require
from chaos.workshop import Workshop

TIMES = 2  # each with another byte


@dataclass(frozen=True)
class Rot:
    """What rots, in a project as it was before `stage`, whose `dvc repro` arguments then run."""

    file: str
    before: str
    repro: tuple[str, ...]
    harmless: bool = False  # nothing that is made depends on it


ROTS = (
    Rot("data/mnist.npz", "download", ("download",)),
    Rot("data/raw/train.csv", "preprocess", ("preprocess",)),
    Rot("data/raw/test.csv", "preprocess", ("preprocess",)),
    Rot("data/raw/sample_submission.csv", "submission", ("submission",)),
    Rot("data/arrays/train_images.npy", "tune", ("tune@tiny",)),
    Rot("data/arrays/train_labels.npy", "train", ("train@tiny",)),
    Rot("data/arrays/folds.npy", "train", ("train@tiny",)),
    Rot("data/arrays/train_labels.npy", "ensemble", ("ensemble",)),
    Rot("experiments/tune/tiny.yaml", "train", ("train@tiny",)),
    Rot("experiments/train/tiny/oof.npy", "ensemble", ("ensemble",)),
    Rot("experiments/train/tiny/test.npy", "ensemble", ("ensemble",)),
    Rot("experiments/ensemble/test.npy", "submission", ("submission",)),
    Rot("experiments/cache/*/probabilities.npy", DONE, ("-f", "-s", "tune@tiny", "train@tiny")),
    Rot("experiments/cache/*/test.npy", DONE, ("-f", "-s", "train@tiny")),
    Rot("experiments/cache/*/model.keras", DONE, ("-f", "-s", "train@tiny")),
    Rot("experiments/cache/*/done.json", DONE, ("-f", "-s", "tune@tiny", "train@tiny")),
    Rot("experiments/cache/tune/*.log", DONE, ("-f", "-s", "tune@tiny")),
    Rot("experiments/mlflow.db", "train", ("train@tiny",), harmless=True),
    Rot("dvc.lock", DONE, ()),
)


def experiments(seed: int) -> list[Experiment]:
    """Each of what can rot, with bytes of its own."""
    found = []
    for place, rot in enumerate(ROTS):
        for number in range(TIMES):
            name = f"rot-{place:02}-{Path(rot.file).stem}-{rot.before}-{number}".replace("*", "x")
            run = partial(notice, rot=rot, random=Random(f"{seed}/{name}"))
            found.append(Experiment("rot", name, run, {"file": rot.file}))
    return found


def notice(shop: Workshop, rot: Rot, random: Random) -> dict[str, Any]:
    """Flip a bit of the file, run, and see it rebuilt, or refused by name and then mended."""
    with shop.project(rot.before) as project:
        path = random.choice(sorted(project.path.glob(rot.file)))
        unlink(path)
        if rot.before != DONE:  # DVC sees the files as they are, and trusts size, inode and time
            project.run("dvc", "status", "-q", *rot.repro)
        at = flip(path, random)
        name = path.relative_to(project.path)
        code, printed = project.run("dvc", "repro", *rot.repro)
        project.settle()
        require("Traceback" not in printed, f"a traceback: {last_line(printed)}")
        said = last_line(printed)
        if code == 0:
            lines = [line for line in printed.splitlines() if "damaged" in line]
            said, verdict = (lines or [""])[0], "rebuilt" if lines else "without effect"
        else:
            verdict = "refused"
            names = (path.name, path.parent.name)
            lines = [line for line in printed.splitlines() if any(each in line for each in names)]
            require(lines, f"{name} is not named: {said}")
            said = lines[-1]
            mend(path, project, printed)
            project.repro(*rot.repro)
        project.check_so_far()
        if not rot.harmless:
            traces.check_mlflow(project, "download")
        return {"byte": at, "verdict": verdict, "said": said}


def unlink(path: Path) -> None:
    """Give a file that is linked into the undisturbed run an inode of its own."""
    if path.stat().st_nlink > 1:
        own = path.with_name(f".{path.name}-copy")
        shutil.copy2(path, own)
        own.replace(path)


def flip(path: Path, random: Random) -> int:
    """Flip one bit in place, leaving size and times as they are; the byte's position."""
    status = path.stat()
    at = random.randrange(status.st_size)
    mode = status.st_mode
    path.chmod(0o644)
    with path.open("r+b") as file:
        file.seek(at)
        byte = file.read(1)[0]
        file.seek(at)
        file.write(bytes([byte ^ (1 << random.randrange(7))]))
    path.chmod(mode)
    os.utime(path, ns=(status.st_atime_ns, status.st_mtime_ns))
    return at


def mend(path: Path, project: Project, printed: str) -> None:
    """Do what the message says."""
    name = path.relative_to(project.path).as_posix()
    told = re.search(r"`dvc (repro -f -s \S+)` makes it again", printed)
    if told:
        if "delete it and" in printed:
            path.unlink()
        code, printed = project.run("dvc", *told[1].split())
        require(code == 0, f"`dvc {told[1]}`: {last_line(printed)}")
    elif name in ("data/mnist.npz", "dvc.lock"):
        project.run("git", "checkout", "--", name)
    else:
        path.unlink()
