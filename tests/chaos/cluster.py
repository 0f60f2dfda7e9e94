"""A cluster of two machines, each a network namespace of its own, broken while it trains."""

import contextlib
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import psutil

from chaos import traces
from chaos.experiment import Experiment
from chaos.project import (
    LIMIT,
    FailedError,
    Project,
    SkippedError,
    last_line,
    require,
    write_params,
)
from chaos.starvation import memory_limit
from chaos.workshop import Workshop

HEAD, OTHER = "10.77.0.1", "10.77.0.2"
SPACES = {HEAD: "chaos-a", OTHER: "chaos-b"}
ADDRESS = f"{HEAD}:6379"
EPOCHS = 200
KEPT = "finished folds and epochs are kept"


def experiments() -> list[Experiment]:
    """Each fault, and each set-up that cannot work."""
    faults: dict[str, Callable[[Workshop], dict[str, Any]]] = {
        "two-machines": lambda shop: survives(shop, lambda _: None, "", before="tune"),
        "worker-killed": lambda shop: survives(shop, kill_worker, "its process ended"),
        "node-killed": lambda shop: survives(shop, kill_node, "node lost"),
        "cable-out": lambda shop: survives(shop, pull_cable, "node lost"),
        "cable-out-and-in": cable_out_and_in,
        "worker-hangs": lambda shop: survives(shop, stop_worker, "has not answered"),
        "out-of-memory": out_of_memory,
        "a-node-joins": node_joins,
        "head-killed": head_killed,
        "driver-killed": driver_killed,
        "interrupted": interrupted,
        "another-version": another_version,
        "counted-gpus": counted_gpus,
    }
    wrong = {name: lambda shop, name=name: bad_set_up(shop, name) for name in BAD}
    return [
        Experiment("cluster", f"cluster-{name}", partial(_in_shop, run))
        for name, run in (faults | wrong).items()
    ]


def _in_shop(run: Callable[[Workshop], dict[str, Any]], shop: Workshop) -> dict[str, Any]:
    """Run in a workshop of its own: a fold must last until the other machine trains too."""
    own = Workshop(shop.folder / "cluster", shop.random, epochs=EPOCHS)
    own.folder.mkdir(exist_ok=True)
    own.make_base()
    return run(own)


@dataclass
class Machines:
    """The two machines, and the project whose pipeline the first one runs."""

    project: Project
    family: list[psutil.Process] = field(default_factory=list)
    started: list[subprocess.Popen[bytes]] = field(default_factory=list)

    def start(self, where: str, *command: str, prefix: tuple[str, ...] = ()) -> Any:
        """Start a command on a machine."""
        inside = (*prefix, "ip", "netns", "exec", SPACES[where])
        process = self.project.start(*command, prefix=inside)
        self.started.append(process)  # to the end: one that is dropped while it runs is warned of
        return process

    def run(self, where: str, *command: str) -> tuple[int, str]:
        """Run a command on a machine to its end; its exit code, and what it printed."""
        return self.project.run(*command, prefix=("ip", "netns", "exec", SPACES[where]))

    def head(self, *more: str) -> Any:
        """Start the cluster's head."""
        return self._node(HEAD, "The cluster's head runs", "cluster-head", "--ip", HEAD, *more)

    def join(self, prefix: tuple[str, ...] = ()) -> Any:
        """Let the other machine join."""
        said = "is a node of the cluster"
        return self._node(OTHER, said, "cluster-join", "--head", ADDRESS, prefix=prefix)

    def _node(self, where: str, said: str, *command: str, prefix: tuple[str, ...] = ()) -> Any:
        before = len(self.project.printed())
        whole = (sys.executable, "-m", "pipeline", *command, "--slots", "1")
        started = self.start(where, *whole, prefix=prefix)
        self.wait(lambda: said in self.project.printed()[before:], "the node's line", started)
        self.family += processes_of(started)
        return started

    def wait(self, condition: Callable[[], object], what: str, process: Any = None) -> None:
        """Wait until something has come about."""
        until = time.monotonic() + 90
        while not condition():
            ended = process and process.poll() is not None
            if ended or time.monotonic() > until:
                raise FailedError(f"no {what}: {last_line(self.project.printed())}")
            time.sleep(0.01)

    def repro(self) -> Any:
        """Start `dvc repro` on the first machine."""
        return self.start(HEAD, "dvc", "repro")

    def wait_for_training(self, folds: int = 2) -> None:
        """Wait until so many folds are in the middle."""
        cache = self.project.path / "experiments/cache"

        def in_the_middle() -> bool:
            return len(list(cache.glob("*.partial/fit.npz"))) >= folds

        self.wait(in_the_middle, "checkpoint")

    def trainers(self, where: str | None = None) -> list[psutil.Process]:
        """The processes that train, of one machine or of both."""
        found = []
        for process in psutil.process_iter():
            with contextlib.suppress(psutil.Error, OSError):
                ours = "ray::Trainer" in " ".join(process.cmdline())
                space = Path(f"/proc/{process.pid}/ns/net").stat().st_ino
                if ours and where in (None, spaces()[space]):
                    found.append(process)
        return found


def spaces() -> dict[int, str]:
    """The machine of each network namespace, by its number."""
    folder = Path("/run/netns")
    return {(folder / space).stat().st_ino: where for where, space in SPACES.items()}


def processes_of(started: Any) -> list[psutil.Process]:
    """A command's process, and all that it has started."""
    whole = psutil.Process(started.pid)
    return [whole, *whole.children(recursive=True)]


def ip(*arguments: str) -> None:
    done = subprocess.run(["ip", *arguments], capture_output=True, text=True)
    if done.returncode:
        raise SkippedError(f"no network namespaces here: {done.stderr.strip()}")


def remove_spaces() -> None:
    for space in SPACES.values():
        subprocess.run(["ip", "netns", "del", space], capture_output=True)


def cable(state: str) -> None:
    """Pull the cable (down) or plug it in (up)."""
    ip("-n", SPACES[OTHER], "link", "set", "chaos-veth", state)


@contextlib.contextmanager
def machines(shop: Workshop, before: str) -> Iterator[Machines]:
    """Two machines with a cable between them, and a project on both; all ends with the block."""
    if subprocess.run(["which", "ip"], capture_output=True).returncode:
        raise SkippedError("no `ip` command here; on Debian: apt-get install iproute2")
    remove_spaces()
    try:
        for space in SPACES.values():
            ip("netns", "add", space)
        one, other = SPACES[HEAD], SPACES[OTHER]
        ends = ["chaos-veth", "type", "veth", "peer", "name", "chaos-veth"]
        ip("link", "add", "netns", one, *ends, "netns", other)
        for where, space in SPACES.items():
            ip("-n", space, "address", "add", f"{where}/24", "dev", "chaos-veth")
            ip("-n", space, "link", "set", "lo", "up")
            ip("-n", space, "link", "set", "chaos-veth", "up")
        with shop.project(before) as project:
            token = project.path.parent / "token"
            token.unlink(missing_ok=True)
            project.more = {"RAY_AUTH_TOKEN_PATH": str(token)}
            compute = {"engine": "ray", "address": ADDRESS, "workers": None}
            write_params(project.path, compute=compute)
            found = Machines(project)
            try:
                yield found
            finally:
                end_processes(found)
    finally:
        remove_spaces()


def end_processes(found: Machines) -> None:
    """End the clusters by Ctrl-C as a user would, then what is left, and say so."""
    nodes = [each for each in found.project.processes() if "cluster-" in " ".join(each.cmdline())]
    for node in nodes:
        with contextlib.suppress(psutil.Error):
            found.family += node.children(recursive=True)
            node.send_signal(signal.SIGINT)
    _, alive = psutil.wait_procs([*nodes, *found.family], timeout=30)
    for process in alive:
        with contextlib.suppress(psutil.Error):
            process.kill()
    found.project.end_all()
    for each in found.started:
        each.wait(30)
    if alive and sys.exc_info()[0] is None:
        raise FailedError(f"left running: {[each.pid for each in alive]}")


def check_same(project: Project) -> None:
    """The results are those of the undisturbed run of one machine, and no epoch was lost twice."""
    project.check()
    traces.check_folders(project, "train")
    traces.repeated_epochs(project)


def survives(
    shop: Workshop, break_it: Callable[[Machines], Any], says: str, before: str = "train"
) -> dict[str, Any]:
    """Break something in the middle of two folds; the same `dvc repro` ends green."""
    with machines(shop, before) as found:
        found.head(), found.join()
        dvc = found.repro()
        if before == "train":
            found.wait_for_training()
            require(len(found.trainers()) == 2, "not a trainer a machine")
        break_it(found)
        code = dvc.wait(LIMIT)
        printed = found.project.printed()
        require(code == 0, f"dvc repro ended with {code}: {last_line(printed)}")
        require(says in printed, f"nobody said {says!r}")
        require("Traceback" not in printed, f"a traceback: {last_line(printed)}")
        found.wait(lambda: not found.trainers(), "end of the trainers")  # a cut node needs a minute
        check_same(found.project)
        return {"said": line_with(printed, says)}


def line_with(printed: str, says: str) -> str:
    return next((line for line in printed.splitlines() if says and says in line), "")


def kill_worker(found: Machines) -> None:
    found.trainers(OTHER)[0].kill()


def stop_worker(found: Machines) -> None:
    found.trainers(OTHER)[0].suspend()


def kill_node(found: Machines) -> None:
    for process in found.family:
        with contextlib.suppress(psutil.Error):
            if process.name() == "raylet" and f"--node_ip_address={OTHER}" in process.cmdline():
                process.kill()
                return
    raise FailedError("no raylet to kill")


def pull_cable(found: Machines) -> None:
    cable("down")


def cable_out_and_in(shop: Workshop) -> dict[str, Any]:
    """The cable is out for 20 seconds; the machine joins again by itself."""
    with machines(shop, "train") as found:
        found.head(), found.join()
        dvc = found.repro()
        found.wait_for_training()
        cable("down")
        time.sleep(20)
        cable("up")
        code = dvc.wait(LIMIT)
        require(code == 0, f"dvc repro ended with {code}: {last_line(found.project.printed())}")
        check_same(found.project)

        def joined() -> bool:
            return found.project.printed().count("is a node of the cluster") == 2

        found.wait(joined, "second joining")
        _, shown = found.run(HEAD, sys.executable, "-m", "pipeline", "cluster-status")
        require(OTHER in shown, f"cluster-status: {shown}")
        return {"said": line_with(found.project.printed(), "trying again")}


def out_of_memory(shop: Workshop) -> dict[str, Any]:
    """The other machine has too little memory for a trainer; the first does all."""
    with machines(shop, "train") as found, memory_limit(900) as prefix:
        found.head()
        found.join(tuple(prefix))
        code = found.repro().wait(LIMIT)
        printed = found.project.printed()
        require(code == 0, f"dvc repro ended with {code}: {last_line(printed)}")
        check_same(found.project)
        return {"said": line_with(printed, "warning")}


def node_joins(shop: Workshop) -> dict[str, Any]:
    """A machine joins in the middle of the training, and trains too."""
    with machines(shop, "tune") as found:
        found.head()
        dvc = found.repro()
        found.wait_for_training(1)
        found.join()
        found.wait(lambda: dvc.poll() is not None or found.trainers(OTHER), "trainer there", None)
        trained = bool(found.trainers(OTHER))
        code = dvc.wait(LIMIT)
        require(code == 0, f"dvc repro ended with {code}: {last_line(found.project.printed())}")
        require(trained, "the other machine trained nothing")
        check_same(found.project)
        return {}


def head_killed(shop: Workshop) -> dict[str, Any]:
    """The head is lost; the stage says so, and goes on once there is a cluster again."""
    with machines(shop, "train") as found:
        head = found.head()
        found.join()
        dvc = found.repro()
        found.wait_for_training()
        server = next(each for each in found.family if each.name() == "gcs_server")
        server.kill()
        code = dvc.wait(60)
        printed = found.project.printed()
        require(code not in (0, None), "dvc repro ended green")
        require(KEPT in printed, f"nobody said that {KEPT}: {last_line(printed)}")
        head.wait(60)
        found.wait(lambda: "was lost; trying again" in found.project.printed(), "word of the other")
        found.head()
        require(found.repro().wait(LIMIT) == 0, last_line(found.project.printed()))
        check_same(found.project)
        return {"said": line_with(printed, KEPT)}


def driver_killed(shop: Workshop) -> dict[str, Any]:
    """kill -9 of all that runs on the first machine for the project."""
    return again_after(shop, signal.SIGKILL)


def interrupted(shop: Workshop) -> dict[str, Any]:
    """Ctrl-C."""
    return again_after(shop, signal.SIGINT)


def again_after(shop: Workshop, number: int) -> dict[str, Any]:
    with machines(shop, "train") as found:
        found.head(), found.join()
        dvc = found.repro()
        found.wait_for_training()
        os.killpg(dvc.pid, number)
        dvc.wait(LIMIT)
        found.wait(lambda: not found.trainers(), "end of the trainers")
        require(found.repro().wait(LIMIT) == 0, last_line(found.project.printed()))
        check_same(found.project)
        return {}


def another_version(shop: Workshop) -> dict[str, Any]:
    """The other machine's TensorFlow is set to other kernels: it takes no part, by name."""
    with machines(shop, "train") as found:
        found.head()
        found.project.more["TF_ENABLE_ONEDNN_OPTS"] = "0"
        found.join()
        del found.project.more["TF_ENABLE_ONEDNN_OPTS"]
        code = found.repro().wait(LIMIT)
        printed = found.project.printed()
        require(code == 0, f"dvc repro ended with {code}: {last_line(printed)}")
        require(f"{OTHER} takes no part" in printed, f"not refused: {last_line(printed)}")
        check_same(found.project)
        write_params(found.project.path, compute={"mixed": True})
        for path in (found.project.path / "experiments/cache").glob("[0-9a-f]*/done.json"):
            path.unlink()
        before = len(printed)
        code, printed = found.run(HEAD, "dvc", "repro", "-f", "train@tiny")
        require(code == 0, f"mixed: dvc repro ended with {code}: {last_line(printed)}")
        require("takes no part" not in found.project.printed()[before:], "refused though mixed")
        return {"said": line_with(found.project.printed(), "takes no part")}


def counted_gpus(shop: Workshop) -> dict[str, Any]:
    """GPUs that Ray only counts: each trainer has its own, or half of one."""
    with machines(shop, "train") as found:
        head = found.project.more
        head["RAY_OVERRIDE_RESOURCES"] = '{"GPU": 2}'
        found.head()
        del head["RAY_OVERRIDE_RESOURCES"]
        code, printed = found.run(HEAD, sys.executable, "-m", "pipeline", "cluster-status")
        require(code == 0 and "│ 2    │" in printed, f"cluster-status: {printed}")
        code = found.repro().wait(LIMIT)
        require(code == 0, f"dvc repro ended with {code}: {last_line(found.project.printed())}")
        check_same(found.project)  # without a real GPU the same bits
        return {"said": line_with(found.project.printed(), "networks at a time")}


# What is wrong, and what is said of it.
BAD = {
    "no-cluster": "no cluster answers",
    "no-token": "has no token",
    "wrong-token": "another token",
    "wrong-token-joins": "another token",
    "too-many-gpus": "compute.gpus",
    "no-slot": "no trainer started",
    "no-address": "no cluster's address",
}


def bad_set_up(shop: Workshop, name: str) -> dict[str, Any]:
    """A cluster that cannot be used: one line within 60 seconds, exit code 1."""
    with machines(shop, "train") as found:
        project = found.project
        token = Path(project.more["RAY_AUTH_TOKEN_PATH"])
        if name != "no-cluster":
            found.head()
        if name in ("wrong-token", "wrong-token-joins"):
            other = token.with_name("other-token")
            other.write_text("0" * 64)
            other.chmod(0o600)
            project.more["RAY_AUTH_TOKEN_PATH"] = str(other)
        if name == "no-token":
            project.more["RAY_AUTH_TOKEN_PATH"] = str(token.with_name("none"))
        if name == "too-many-gpus":
            write_params(project.path, compute={"gpus": 3})
        if name == "no-address":
            write_params(project.path, compute={"address": "tomorrow"})
        other_user = None
        if name == "no-slot":  # another project has it
            other_user = found.start(HEAD, sys.executable, "-c", HOLD)
            found.wait(lambda: "holding" in project.printed(), "holder", other_user)
        started = time.monotonic()
        if name == "wrong-token-joins":
            command = (sys.executable, "-m", "pipeline", "cluster-join", "--head", ADDRESS)
            code, printed = found.run(OTHER, *command)
        else:
            code, printed = found.run(HEAD, sys.executable, "-m", "pipeline", "train", "tiny")
        seconds = time.monotonic() - started
        require(code == 1, f"exit code {code}: {last_line(printed)}")
        errors = [line for line in printed.splitlines() if line.startswith("error:")]
        require(len(errors) == 1 and BAD[name] in errors[0], f"said: {errors or printed[-300:]}")
        require("Traceback" not in printed, "a traceback")
        require(seconds < 70, f"it took {seconds:.0f} s")
        project.check_so_far()
        return {"said": errors[0], "waited": round(seconds, 1)}


HOLD = f"""
import os, time
os.environ["RAY_AUTH_MODE"] = "token"
import ray
ray.init(address="{ADDRESS}", log_to_driver=False)
@ray.remote(num_cpus=1)
class Holder:
    def here(self): return True
holder = Holder.remote()
print("holding", ray.get(holder.here.remote()), flush=True)
time.sleep(300)
"""
