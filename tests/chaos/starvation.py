"""No room, no memory, no right to write, and a clock that jumps: a clear line, and nothing spoilt."""

import os
import shutil
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

from chaos import traces
from chaos.experiment import Experiment
from chaos.project import (
    TARGETS,
    Project,
    SkippedError,
    last_line,
    require,
)
from chaos.workshop import Workshop

# Stage, the folder it writes to, and how little room there is, in mount's words.
ROOM = (
    ("download", "data/raw", "size=8m"),
    ("preprocess", "data/arrays", "size=8m"),
    ("tune", "experiments/cache", "size=64k"),
    ("tune", "experiments/tune", "size=4k,nr_inodes=1"),
    ("train", "experiments/cache", "size=256k"),
    ("train", "experiments/train", "size=256k"),
    ("ensemble", "experiments/ensemble", "size=64k"),
    ("submission", "submissions", "size=64k"),
    ("submission", ".dvc/cache", "size=16k"),
)
READ_ONLY = (
    ("download", "data"),
    ("preprocess", "data"),
    ("tune", "experiments"),
    ("train", "experiments"),
    ("ensemble", "experiments"),
    ("submission", "submissions"),
)
# Stage, and MiB, of which it needs more.
MEMORY = (
    ("download", 200),
    ("preprocess", 130),
    ("tune", 400),
    ("train", 400),
    ("ensemble", 200),
    ("submission", 200),
)
GROUPS = Path("/sys/fs/cgroup")
CLOCK = """
#define _GNU_SOURCE
#include <dlfcn.h>
#include <sys/time.h>
#include <time.h>
static int (*real)(clockid_t, struct timespec *);
static long jump(void) {  /* a day ahead and a day back, by turns, each for 2 seconds */
  struct timespec now;
  real(CLOCK_MONOTONIC, &now);
  return now.tv_sec % 4 < 2 ? 86400 : -86400;
}
int clock_gettime(clockid_t clock, struct timespec *value) {
  if (!real) real = dlsym(RTLD_NEXT, "clock_gettime");
  int code = real(clock, value);
  if (clock == CLOCK_REALTIME) value->tv_sec += jump();
  return code;
}
time_t time(time_t *place) {
  struct timespec now;
  clock_gettime(CLOCK_REALTIME, &now);
  if (place) *place = now.tv_sec;
  return now.tv_sec;
}
int gettimeofday(struct timeval *value, void *zone) {
  struct timespec now;
  clock_gettime(CLOCK_REALTIME, &now);
  value->tv_sec = now.tv_sec;
  value->tv_usec = now.tv_nsec / 1000;
  return 0;
}
"""


def experiments() -> list[Experiment]:
    """Every kind of starvation, at each stage that it can hit."""
    found = []

    def add(kind: str, name: str, run: Callable[..., dict[str, Any]], **about: Any) -> None:
        found.append(Experiment(kind, name, partial(run, **about), about))

    for stage, folder, room in ROOM:
        name = f"full-{stage}-{folder.replace('/', '_')}"
        add("disk full", name, without_room, stage=stage, folder=folder, room=room)
    for stage, folder in READ_ONLY:
        add("read-only", f"read-only-{stage}", read_only, stage=stage, folder=folder)
    for stage, mebibytes in MEMORY:
        add("memory", f"memory-{stage}", without_memory, stage=stage, mebibytes=mebibytes)
    for stage in ("download", "train"):
        add("clock", f"clock-{stage}", with_jumping_clock, stage=stage)
    return found


@contextmanager
def mounted(path: Path, *options: str) -> Iterator[None]:
    """Mount something on a folder for as long as the block takes."""
    path.mkdir(parents=True, exist_ok=True)
    if os.geteuid() != 0:
        raise SkippedError("mounting needs root")
    result = subprocess.run(["mount", *options, str(path)], capture_output=True, text=True)
    if result.returncode:
        raise SkippedError(f"no mounting here: {result.stderr.strip()}")
    try:
        yield
    finally:
        subprocess.run(["umount", "-l", str(path)], check=True)


def again(path: Path, options: str) -> None:
    """Mount with other options."""
    subprocess.run(["mount", "-o", f"remount,{options}", str(path)], check=True)


def refused(project: Project, stage: str, *words: str, prefix: tuple[str, ...] = ()) -> str:
    """`dvc repro` must fail, with a line that has one of the words and no traceback; the line."""
    code, printed = project.run("dvc", "repro", TARGETS[stage], prefix=prefix)
    require(code != 0, "it ended green all the same")
    said = next((line for line in printed.splitlines()
                 if any(word in line for word in words)), "")  # fmt: skip
    require(said, f"no line says why: {last_line(printed)}")
    require("Traceback" not in printed, f"a traceback: {last_line(printed)}")
    project.settle()
    project.check_so_far()
    return said[:300]


def recovers(project: Project, stage: str, study: bool = True) -> None:
    """`dvc repro` again must end green, with the undisturbed run's files, and its study."""
    project.repro(TARGETS[stage])
    project.settle()
    project.check_so_far()
    traces.check_folders(project, stage)
    traces.check_mlflow(project, "download")  # nothing is left RUNNING
    if study:
        traces.check_study(project, stage)


def without_room(shop: Workshop, stage: str, folder: str, room: str) -> dict[str, Any]:
    """A file system of its own, too small, under the folder; then a larger one."""
    with shop.project(stage) as project:
        path = project.path / folder
        notes = {file.name: file.read_bytes() for file in path.glob("*.md")}  # they come with git
        with mounted(path, "-t", "tmpfs", "-o", room, "tmpfs"):
            for name, text in notes.items():
                (path / name).write_bytes(text)
            said = refused(project, stage, "No space left", "disk full")
            require(folder in said or folder == ".dvc/cache", f"{folder} is not named: {said}")
            again(path, "size=2g,nr_inodes=100000")
            # What is mounted on the cache hides the study that an earlier stage left there.
            recovers(project, stage, study=(stage, folder) != ("train", "experiments/cache"))
    return {"said": said}


def read_only(shop: Workshop, stage: str, folder: str) -> dict[str, Any]:
    """The folder mounted read-only on itself."""
    with shop.project(stage) as project:
        path = project.path / folder
        with mounted(path, "--bind", str(path)):
            again(path, "ro,bind")
            said = refused(project, stage, "Read-only")
            require(folder in said, f"{folder} is not named: {said}")
            again(path, "rw,bind")
            recovers(project, stage)
    return {"said": said}


@contextmanager
def memory_limit(mebibytes: int) -> Iterator[tuple[str, ...]]:
    """A control group with so much memory; what to put before a command to run it in there."""
    old = GROUPS / "memory"
    group = (old if old.is_dir() else GROUPS) / f"chaos-{os.getpid()}"
    limit = "memory.limit_in_bytes" if old.is_dir() else "memory.max"
    try:
        group.mkdir()
        (group / limit).write_text(str(mebibytes << 20))
    except OSError as error:
        raise SkippedError(f"no control group of memory here: {error}") from None
    try:
        yield "sh", "-c", 'echo $$ > "$0/cgroup.procs" && exec "$@"', str(group)
    finally:
        for _ in range(50):
            try:
                group.rmdir()
                break
            except OSError:
                time.sleep(0.1)


def without_memory(shop: Workshop, stage: str, mebibytes: int) -> dict[str, Any]:
    """Less memory than the stage needs, for dvc and all it starts: the system kills the stage."""
    with shop.project(stage) as project:
        with memory_limit(mebibytes) as prefix:
            said = refused(project, stage, "exited with -9", prefix=prefix)
        recovers(project, stage)
    return {"said": said}


def with_jumping_clock(shop: Workshop, stage: str) -> dict[str, Any]:
    """The system's clock, as the processes see it, jumps a day ahead and back."""
    if not shutil.which("gcc"):
        raise SkippedError("gcc is not here, to put another clock before the system's")
    with shop.project(stage) as project:
        library, source = (project.path.with_name(f"clock.{kind}") for kind in ("so", "c"))
        source.write_text(CLOCK)
        command = ["gcc", "-shared", "-fPIC", "-O1", "-o", str(library), str(source), "-ldl"]
        subprocess.run(command, check=True)
        project.more["LD_PRELOAD"] = str(library)
        project.repro(TARGETS[stage])
        project.settle()
        del project.more["LD_PRELOAD"]
        require("up to date" in project.repro(TARGETS[stage]), "it runs again with a true clock")
        recovers(project, stage)
    return {}
