"""A slot of a cluster: an actor on a node that trains one network at a time.

It writes into a folder of its own that ends with it: all that a network leaves, epoch for epoch, is
sent to its leader.
"""

import os
import queue
import socket
import sys
import tempfile
import threading
import time
from importlib.metadata import version
from pathlib import Path
from typing import Any

Files = dict[str, bytes]
EPOCH, DONE, FAILED = "epoch", "done", "failed"  # what an event is
ALONE = 100.0  # seconds without a word of the leader, after which a trainer ends
DIFFER = ("tensorflow", "keras", "numpy")  # packages whose versions must be the same


class Trainer:
    """Its methods are called by its leader, `doing` by whoever looks at the cluster."""

    def __init__(self) -> None:
        # Ray sets it for each worker, and it would be part of the folds' names.
        os.environ.pop("OMP_NUM_THREADS", None)
        import ray

        if not ray.get_gpu_ids():  # no GPU was asked for: TensorFlow would take all
            os.environ["CUDA_VISIBLE_DEVICES"] = "-1"
        self.events: queue.Queue[Any] = queue.Queue()
        self.answers: queue.Queue[bool] = queue.Queue()
        self.task, self.epoch, self.began = "", "", time.time()

    def place(self) -> dict[str, Any]:
        """Where this is."""
        gpus = os.environ["CUDA_VISIBLE_DEVICES"]
        return {"host": socket.gethostname(), "pid": os.getpid(), "gpus": gpus}

    def about(self) -> dict[str, Any]:
        """The machine, as `Machine` takes it, and the versions that must not differ."""
        from pipeline.training.machine import here

        versions = {"python": sys.version.split()[0]} | {name: version(name) for name in DIFFER}
        return {"machine": here().plain(), "versions": versions}

    def speeds(self, *arguments: Any) -> dict[Any, float]:
        """See `speed.measure`."""
        from pipeline.training.speed import measure

        return measure(*arguments)

    def grown(self) -> bool:
        """Whether the process uses too much memory to train another network."""
        from pipeline.training.cache import has_grown

        return has_grown()

    def train(self, task: Any, data: Any, files: Files) -> None:
        """Begin to train a task, from its checkpoints if there are some; `next` tells the rest."""
        self.task, self.epoch, self.began = f"{task.name} {task.label}", "starting", time.time()
        threading.Thread(target=self._train, args=(task, data, files), daemon=True).start()

    def next(self, answer: bool | None, seconds: float) -> Any:
        """What has happened; None if nothing does within so many seconds.

        Args:
            answer: to the epoch that was told last: whether to go on. None: there was none.
            seconds: how long to wait.
        """
        if answer is not None:
            self.answers.put(answer)
        try:
            return self.events.get(timeout=seconds)
        except queue.Empty:
            return None

    def doing(self) -> dict[str, Any]:
        """Where this is, what it trains, and for how many seconds."""
        since = {"seconds": time.time() - self.began} if self.task else {}
        return self.place() | {"task": self.task, "epoch": self.epoch} | since

    def _answer(self) -> bool:
        """What the leader says; without a word the process ends: the cable is out, say."""
        try:
            return self.answers.get(timeout=ALONE)
        except queue.Empty:
            os._exit(1)

    def _train(self, task: Any, data: Any, files: Files) -> None:
        from pipeline.training.worker import StopTrainingError
        from pipeline.training.write_fold import FILES, write_fold

        try:
            with tempfile.TemporaryDirectory(dir=Path()) as name:
                folder, told = Path(name), dict(files)
                for path, content in files.items():
                    (folder / path).write_bytes(content)

                def report(history: list[Any]) -> None:
                    found = {path.name: path.read_bytes() for path in folder.glob("*.npz")}
                    new = {path: each for path, each in found.items() if told.get(path) != each}
                    told.update(new)
                    self.epoch = f"epoch {len(history)} of {task.epochs}"
                    self.events.put((EPOCH, history, new))
                    if not self._answer():
                        raise StopTrainingError

                written = write_fold(task, data, folder, report)
                made = {path: folder / path for path in FILES if (folder / path).exists()}
                sent = {path: file.read_bytes() for path, file in made.items()}
                self.events.put((DONE, written, sent))
        except StopTrainingError:
            pass
        except Exception as error:
            self.events.put((FAILED, f"{type(error).__name__}: {error}", {}))
        self.task = self.epoch = ""
