"""One trainer of a cluster, as its leader sees it: what it trains comes into the cache here."""

from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import ray
from ray.exceptions import OutOfMemoryError, RayError

from pipeline.base.files import replacing
from pipeline.base.paths import CACHE
from pipeline.data.arrays import Data
from pipeline.network.task import Task
from pipeline.training.cache import Report, train_into
from pipeline.training.engines.cluster import Cluster, Node, RefusedError, answer_of, end
from pipeline.training.engines.trainer import DONE, FAILED
from pipeline.training.fingerprint import fingerprint
from pipeline.training.machine import Machine
from pipeline.training.worker import WorkerLostError
from pipeline.training.write_fold import Written

STEP = 2.0  # seconds that a trainer waits for something to tell before it says that there is none
SILENT = 60.0  # without an answer, after which it is given up
HANGS = 10  # times its longest epoch, without an epoch, after which it is given up
FIRST = 3600.0  # the same before its first epoch has ended, and after its last
BEGIN = 150.0  # until it has imported TensorFlow


class Lead:
    """A trainer, and what it says of its machine."""

    def __init__(self, cluster: Cluster, node: Node, trainer: Any) -> None:
        self.cluster, self.node, self.trainer = cluster, node, trainer
        self.taken = False
        try:
            self.about = answer_of(trainer.about.remote(), BEGIN)
        except RayError as error:
            raise RefusedError(self._why(error)) from None
        self.machine = Machine(**self.about["machine"])

    def speeds(self, *arguments: Any) -> dict[Any, float]:
        """How fast the trainer trains; see `speed.measure`."""
        try:
            return dict(answer_of(self.trainer.speeds.remote(*arguments), BEGIN))
        except RayError as error:
            raise RefusedError(self._why(error)) from None

    def end(self) -> None:
        """End the trainer's process."""
        end(self.trainer)

    def train(self, task: Task, data: Data, report: Report) -> None:
        """Train a task on the trainer, and put what it sends into the cache.

        Raises:
            WorkerLostError: the trainer is lost, and why.
        """
        folder = CACHE / fingerprint(task, data, self.machine)
        try:
            if answer_of(self.trainer.grown.remote(), SILENT):
                self.end()
                self.trainer = self.cluster.trainer(self.node)
            train_into(folder, task, partial(self._train, task, data, partial(report, task)))
        except (RayError, RefusedError) as error:
            raise WorkerLostError(self._why(error)) from None

    def _train(self, task: Task, data: Data, report: Callable[[Any], Any], folder: Path) -> Written:
        """Begin, or go on from the checkpoints in the folder; write there what is sent."""
        files = {path.name: path.read_bytes() for path in folder.glob("*.npz")}
        begun = self.trainer.train.remote(task, self.cluster.reference(data), files)
        answer, waited, limit = None, 0.0, FIRST
        while True:
            asked, answer = self.trainer.next.remote(answer, STEP), None
            event = answer_of(asked, SILENT)
            if event is None:
                waited += STEP
                if ray.wait([begun], timeout=0)[0]:
                    ray.get(begun)  # it failed, if it did
                if waited > limit:
                    raise RefusedError(f"no epoch has ended for {waited:.0f} s")
                continue
            kind, said, sent = event
            if kind == FAILED:
                raise RefusedError(said)
            receive(folder, sent)
            if kind == DONE:
                return Written(*said)
            waited = 0.0
            last = len(said) >= task.epochs  # then come predictions, of whatever length
            limit = FIRST if last else max(SILENT, HANGS * max(row["seconds"] for row in said))
            answer = _goes_on(report, said, lambda: self.trainer.next.remote(False, 0.0))

    def _why(self, error: Exception) -> str:
        """Why the trainer is lost, in words."""
        where, said = f"on {self.node.address}", " ".join(str(error).split())
        if isinstance(error, RefusedError):
            return f"{where}: {said}"
        if isinstance(error, OutOfMemoryError) or "running low on memory" in said:
            return f"{where}: out of memory"
        return (
            f"{where}: its process ended" if self.cluster.up(self.node) else f"{where}: node lost"
        )


def _goes_on(report: Callable[[Any], Any], history: Any, stop: Callable[[], Any]) -> bool:
    """Report an epoch; where the training ends here, tell the trainer."""
    try:
        report(history)
    except BaseException:
        stop()
        raise
    return True


def receive(folder: Path, files: dict[str, bytes]) -> None:
    """Write files that a trainer sent."""
    for name, content in files.items():
        with replacing(folder / name) as temporary:
            temporary.write_bytes(content)


def comparison(first: dict[str, Any], other: dict[str, Any], node: Node) -> str:
    """What a node has otherwise than the first, in one line; empty if nothing."""
    mine, its = ({**each["machine"]["description"], **each["versions"]} for each in (first, other))
    differs = [f"{key} {its[key]}, the first {mine[key]}" for key in mine if its[key] != mine[key]]
    if not differs:
        return ""
    return (
        f"{node.address} takes no part, its networks would have other bits: {'; '.join(differs)}; "
        "`compute.mixed: true` lets it"
    )
