"""A small project to break: its commands, its processes, and what its files are held against."""

import contextlib
import filecmp
import signal
import subprocess
import time
from dataclasses import dataclass, field
from pathlib import Path
from random import Random
from typing import Any

import psutil
import yaml

from support.checkout import environment

STAGES = ("download", "preprocess", "tune", "train", "ensemble", "submission")
TARGETS = {  # for dvc
    stage: f"{stage}@tiny" if stage in ("tune", "train") else stage for stage in STAGES
}
DONE = "done"
IDENTICAL = (
    "data/raw/*.csv",
    "data/arrays/*.npy",
    "experiments/tune/*.yaml",
    "experiments/train/tiny/*.npy",
    "experiments/ensemble/*.npy",
    "submissions/submission.csv",
)
FOLDERS = sorted({str(Path(pattern).parent) for pattern in IDENTICAL})
LIMIT = 400.0  # seconds that a `dvc repro` may take on a busy machine
MARK = "CHAOS_RUN"  # the environment variable by which a project's processes are known


class FailedError(Exception):
    """The pipeline did not survive; the message says in what way."""


class SkippedError(Exception):
    """This machine cannot do it; the message says why."""


def require(condition: object, what: str) -> None:
    """Raise `FailedError` with `what` unless the condition holds."""
    if not condition:
        raise FailedError(what)


@dataclass
class Project:
    """A checkout on its way to a submission, and the undisturbed run it is held against."""

    path: Path
    reference: Path
    random: Random
    more: dict[str, str] = field(default_factory=dict)  # environment

    @property
    def mark(self) -> str:
        """What its processes are known by, also those of a `make chaos` that was killed."""
        return str(self.path)

    @property
    def log(self) -> Path:
        """What its commands printed, all of them, in the order they came."""
        return self.path.with_suffix(".log")

    def start(self, *command: str, prefix: tuple[str, ...] = ()) -> subprocess.Popen[bytes]:
        """Start a command as a user inside .venv would, in a process group of its own."""
        known = dict(environment(self.path)) | {
            "DVC_SITE_CACHE_DIR": str(self.path.parent / "site"),
            "DVC_NO_ANALYTICS": "true",
            "PIPELINE_EVERY_EPOCH": "1",  # so that the epochs can be counted
            MARK: self.mark,
        }
        with self.log.open("ab") as log:
            return subprocess.Popen(
                [*prefix, *command], cwd=self.path, env=known | self.more, stdin=subprocess.DEVNULL,
                stdout=log, stderr=subprocess.STDOUT, start_new_session=True,
            )  # fmt: skip

    def run(self, *command: str, prefix: tuple[str, ...] = ()) -> tuple[int, str]:
        """Run a command to its end; its exit code, and what it printed."""
        before = self.log.stat().st_size if self.log.exists() else 0
        with self.start(*command, prefix=prefix) as process:
            try:
                code = process.wait(LIMIT)
            except subprocess.TimeoutExpired:
                self.end_all()
                raise FailedError(f"{' '.join(command)} did not end in {LIMIT:.0f} s") from None
        return code, self.printed(before)

    def repro(self, *arguments: str) -> str:
        """`dvc repro`, which must end green; what it printed."""
        code, printed = self.run("dvc", "repro", *arguments)
        require(code == 0, f"dvc repro ended with {code}: {last_line(printed)}")
        return printed

    def printed(self, before: int = 0) -> str:
        """What came into the log after so many bytes."""
        if not self.log.exists():
            return ""
        with self.log.open("rb") as log:
            log.seek(before)
            return log.read().decode(errors="replace")

    def processes(self) -> list[psutil.Process]:
        """The living processes that this project's commands started, orphans and all."""
        found = []
        for process in psutil.process_iter():
            with contextlib.suppress(psutil.Error):
                ours = process.environ().get(MARK) == self.mark
                if ours and process.status() != psutil.STATUS_ZOMBIE:
                    found.append(process)
        return found

    def settle(self, seconds: float = 30.0) -> None:
        """Wait for every process to end, such as the one that brings to MLflow what is left."""
        deadline = time.monotonic() + seconds
        while left := self.processes():
            if time.monotonic() > deadline:
                names = [" ".join(each.cmdline()[1:4]) for each in left if each.is_running()]
                self.end_all()
                raise FailedError(f"left running: {', '.join(names)}")
            time.sleep(0.2)

    def end_all(self) -> None:
        """End what is left, by id."""
        for process in self.processes():
            with contextlib.suppress(psutil.Error):
                process.send_signal(signal.SIGKILL)

    def check_so_far(self) -> None:
        """A file that is there is whole: the undisturbed run's, to the byte.

        Raises:
            FailedError: one is not.
        """
        for pattern in IDENTICAL:
            for mine in self.path.glob(pattern):
                name = mine.relative_to(self.path)
                if not mine.name.startswith("."):
                    require(same(mine, self.reference / name), f"{name} is another file")

    def check(self) -> None:
        """All files are there, whole, with nothing beside them.

        Raises:
            FailedError: they are not.
        """
        for folder in FOLDERS:
            names, wanted = ({f.name for f in (root / folder).glob("*")} for root in
                             (self.path, self.reference))  # fmt: skip
            ours = {"ledger.csv", "ledger.lock"}
            require(names - ours == wanted - ours, f"{folder}: {sorted(names ^ wanted)}")
        self.check_so_far()


def same(one: Path, other: Path) -> bool:
    """Whether two files have the same bytes; a study's YAML, but for how long it took."""
    if one.suffix == ".yaml" and other.exists():
        read = (yaml.safe_load(path.read_text()) | {"seconds": 0} for path in (one, other))
        return next(read) == next(read)
    return other.exists() and (one.samefile(other) or filecmp.cmp(one, other, shallow=False))


def last_line(printed: str) -> str:
    """The last line that says something; an error's, the pipeline's own first, if there is one."""
    lines = [line for line in printed.splitlines() if line.strip()]
    ours = [line for line in lines if line.startswith("error:")]
    errors = [line for line in lines if "error" in line.lower()]
    return (ours or errors or lines or ["nothing"])[-1][:300]


def write_params(path: Path, **sections: dict[str, Any]) -> None:
    """Change settings of a project's params.yaml."""
    file = path / "params.yaml"
    params = yaml.safe_load(file.read_text())
    for section, values in sections.items():
        params[section] |= values
    file.write_text(yaml.safe_dump(params, sort_keys=False))
