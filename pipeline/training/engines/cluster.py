"""A Ray cluster as it is: its nodes, their slots, and trainers on them."""

import os
import shutil
import socket
import tempfile
import threading
import time
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

os.environ["RAY_AUTH_MODE"] = "token"  # Ray reads it when it is imported
os.environ["RAY_SCHEDULER_EVENTS"] = "0"

import ray
from ray.exceptions import GetTimeoutError, RayError
from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

from pipeline.base.errors import first_line
from pipeline.training.engines.trainer import Trainer

NAMESPACE = "digits"
PLACED = 25.0  # seconds in which a trainer's process must have started, where a slot is free
HEAD_START = 8.0  # of those, for a node before the next one is asked
CODE = Path(__file__).parents[2]  # pipeline/


class RefusedError(Exception):
    """The cluster does not do what was asked, and why, in words."""


@dataclass(frozen=True)
class Node:
    """A machine of the cluster."""

    id: str
    address: str
    port: int  # of Ray's process there
    cpus: int
    gpus: float


class Cluster:
    """The connection to a cluster; a process has one."""

    def __init__(self, address: str, gpus: float | None, log: Path, code: bool = True) -> None:
        """Connect, and send this project's code, without data, for trainers to run.

        Raises:
            RefusedError: there is no connection, and why.
        """
        self.gpus = gpus
        with tempfile.TemporaryDirectory() as folder:
            if code:
                without = shutil.ignore_patterns("__pycache__")
                shutil.copytree(CODE, Path(folder) / CODE.name, ignore=without)
            try:
                ray.init(
                    address=address,
                    namespace=NAMESPACE,
                    runtime_env={"working_dir": folder} if code else {},
                    log_to_driver=False,
                    configure_logging=False,
                )
            except (RayError, OSError, RuntimeError, ValueError) as error:
                raise RefusedError(_why(error, address, log)) from None
        self.lock = threading.Lock()
        self.data: dict[str, Any] = {}  # references to arrays in the cluster's object store

    def nodes(self) -> list[Node]:
        """The nodes that are up, that of this process first."""
        here = ray.get_runtime_context().get_node_id()
        found = [
            Node(
                each["NodeID"],
                each["NodeManagerAddress"],
                each["NodeManagerPort"],
                int(each["Resources"].get("CPU", 0)),
                each["Resources"].get("GPU", 0.0),
            )
            for each in ray.nodes()
            if each["Alive"]
        ]
        return sorted(found, key=lambda node: (node.id != here, node.address, node.id))

    def gpu_share(self, node: Node) -> float:
        """The GPUs that a network takes on a node."""
        return self.gpus if self.gpus is not None else float(node.gpus > 0)

    def slots(self, node: Node) -> int:
        """How many networks a node trains at a time."""
        share = self.gpu_share(node)
        if not share:
            return node.cpus
        return int(node.gpus) * int(1 / share) if share < 1 else int(node.gpus / share)

    def trainer(self, node: Node) -> Any:
        """A new trainer on a node."""
        share = self.gpu_share(node)
        return (
            ray.remote(Trainer)
            .options(
                num_cpus=0 if share else 1,
                num_gpus=share,
                max_restarts=0,
                max_task_retries=0,
                max_concurrency=4,  # the leader's question, an answer, and somebody who looks
                name=f"trainer-{os.urandom(8).hex()}",
                scheduling_strategy=NodeAffinitySchedulingStrategy(node.id, soft=False),
            )
            .remote()
        )

    def first_trainer(self) -> tuple[Node, Any]:
        """A trainer on the first node that has a free slot.

        Raises:
            RefusedError: there is none.
        """
        nodes = self.nodes()
        able = [node for node in nodes if self.slots(node)]
        if not able:
            have = ", ".join(f"{node.address} has {node.gpus:g}" for node in nodes)
            raise RefusedError(
                f"compute.gpus: a network is to have {self.gpus:g} GPUs; {have}"
                if self.gpus
                else "the cluster has no slot: none of its nodes has a processor to train on"
            )
        found = self._first_placed(able)
        if found:
            return found
        free = ray.available_resources()
        raise RefusedError(
            f"no trainer started within {PLACED:.0f} s: {free.get('CPU', 0):g} processors and "
            f"{free.get('GPU', 0):g} GPUs are free; `make cluster-status` shows who has the others"
        )

    def _first_placed(self, nodes: list[Node]) -> tuple[Node, Any] | None:
        """The first trainer that starts; this machine's own has a head start, so that it is that.

        Which one is first decides what the others must be like.
        """
        asked: dict[Any, tuple[Node, Any]] = {}
        until, found = time.monotonic() + PLACED, None
        while not found and time.monotonic() < until:
            if len(asked) < len(nodes):
                trainer = self.trainer(nodes[len(asked)])
                asked[trainer.place.remote()] = nodes[len(asked)], trainer
            patience = HEAD_START if len(asked) < len(nodes) else 1.0
            for reference in ray.wait(list(asked), timeout=patience)[0]:
                with suppress(RayError):
                    ray.get(reference)
                    found = asked[reference]
        for node, trainer in asked.values():
            if (node, trainer) != found:
                end(trainer)
        return found

    def reference(self, data: Any) -> Any:
        """A reference to arrays, which go to each node once."""
        key = "".join(data.digests.values())
        with self.lock:
            if key not in self.data:
                self.data[key] = ray.put(data.in_memory())
        return self.data[key]

    def doing(self) -> list[dict[str, Any]]:
        """What the trainers of all who use the cluster do now; see `Trainer.doing`."""
        asked = []
        for name in ray.util.list_named_actors():
            with suppress(ValueError):  # it has ended meanwhile
                asked.append(ray.get_actor(name).doing.remote())
        answered, _ = ray.wait(asked, num_returns=len(asked), timeout=5) if asked else ([], [])
        found = []
        for reference in answered:
            with suppress(RayError):
                found.append(ray.get(reference))
        return found

    def up(self, node: Node) -> bool:
        """Whether a node is still there; the cluster itself notices after some seconds."""
        with suppress(OSError):
            socket.create_connection((node.address, node.port), 3).close()
            return any(each.id == node.id for each in self.nodes())
        return False


def answer_of(reference: Any, seconds: float) -> Any:
    """What a trainer answers.

    Raises:
        RefusedError: it does not, within so many seconds.
        RayError: it is lost.
    """
    try:
        return ray.get(reference, timeout=seconds)
    except GetTimeoutError:
        raise RefusedError(f"it has not answered for {seconds:.0f} s") from None


def end(trainer: Any) -> None:
    """End a trainer's process."""
    with suppress(RayError, ValueError):
        ray.kill(trainer)


def _why(error: Exception, address: str, log: Path) -> str:
    """Why Ray did not connect, in one line."""
    said = f"{error} {log.read_text(errors='replace')}"
    if "InvalidAuthToken" in said:
        return (
            f"the cluster at {address} has another token; copy ~/.ray/auth_token of its head to "
            "this machine, or name the copy in RAY_AUTH_TOKEN_PATH"
        )
    if "no authentication token" in said or "cannot be opened or is empty" in said:
        return "this machine has no token: copy ~/.ray/auth_token of the cluster's head here"
    if "ersion mismatch" in said:
        return f"the cluster at {address} has another Python or Ray: {' '.join(str(error).split())}"
    return f"no connection to the cluster at {address}: {first_line(error)}; see {log}"
