"""A worker: a process that trains what its leader sends, one network after the other."""

import multiprocessing as mp
import os
import signal
import threading
from collections.abc import Callable
from contextlib import suppress
from multiprocessing.connection import Connection, wait
from typing import Any

from pipeline.data.arrays import Data
from pipeline.network.checkpoint import Epoch
from pipeline.network.task import Task
from pipeline.training.cache import Report, has_grown, run_tasks

Train = Callable[[Task, Data, Report], Any]  # puts a network into the cache

NEXT, GROWN = "next", "grown"  # what a worker says


class StopTrainingError(Exception):
    """Raised by a report: the network's training ends here, and has no result."""


class WorkerLostError(Exception):
    """Raised where another machine's process trains: it is lost, and why, in words."""


def work(leader: Connection) -> None:
    """A worker's whole life: train what the leader sends, until it is killed."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the leader gets it too, and ends its workers
    end_with_leader()

    def train(task: Task, data: Data, report: Report) -> None:
        next(run_tasks([task], data, report))

    serve(leader, train, has_grown)


def serve(leader: Connection, train: Train, grown: Callable[[], bool] = lambda: False) -> None:
    """Train what a leader sends, one network after the other.

    It hears `NEXT` for "what next?", a history after each epoch, which it answers by whether to go
    on, `GROWN` if the process has trained and should end, and another text if this side gives up.
    """

    def report(_task: Task, history: list[Epoch]) -> None:
        leader.send(history)
        if not leader.recv():
            raise StopTrainingError

    try:
        while not grown():
            leader.send(NEXT)
            task, data = leader.recv()
            with suppress(StopTrainingError):
                train(task, data, report)
        leader.send(GROWN)
    except WorkerLostError as error:
        leader.send(str(error))
    except Exception as error:  # the leader meets it too, when it trains the rest, and reports it
        leader.send(f"{type(error).__name__}: {error}")


def end_with_leader() -> None:
    """From now on, end this process as soon as its leader ends, for whatever reason."""
    threading.Thread(target=_end_with_leader, daemon=True).start()


def _end_with_leader() -> None:
    leader = mp.parent_process()
    if leader:
        wait([leader.sentinel])
    os._exit(1)
