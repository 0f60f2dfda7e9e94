"""Trains networks side by side: one in this process, the others in helpers, each on one thread.

Two threads share a small network's layers badly: each layer ends with one waiting for the other.
Two networks on a thread each need three quarters of the time (`make benchmark`), and a network's
bits do not depend on how many cores there are, or on how many others are trained beside it.
"""

import multiprocessing as mp
import os
import signal
import threading
from collections.abc import Callable, Iterator
from multiprocessing.connection import Connection, wait
from typing import Any

import psutil

from pipeline.checkpoint import Epoch
from pipeline.compute import Result, finished, has_grown, run_tasks
from pipeline.config import Settings
from pipeline.console import warn
from pipeline.hardware import cores, has_gpu, one_thread
from pipeline.task import Data, Task

MEMORY = 2 * 2**30  # of a process that trains, bytes
Job = tuple[Task, Data]
Report = Callable[[Task, list[Epoch]], Any]


def workers(settings: Settings) -> int:
    """How many networks to train at a time: `compute.workers`, or what this machine bears."""
    if settings.compute.workers:
        return settings.compute.workers
    if has_gpu():
        return 1
    return max(1, min(cores(), psutil.virtual_memory().available // MEMORY))


class _Board:
    """Which tasks are still to be trained, by whom they are, and which are done."""

    def __init__(self, done: list[bool]) -> None:
        self.changed = threading.Condition()
        self.done = done
        self.waiting = [position for position, each in enumerate(done) if not each]

    def take(self, wanted: int | None = None) -> int | None:
        """The next task for the caller to train; None if there is none.

        With `wanted` the caller can wait: until there is one, or that task is done.
        """
        with self.changed:
            while not self.waiting and wanted is not None and not self.done[wanted]:
                self.changed.wait()
            if wanted is not None and self.done[wanted]:
                return None
            return self.waiting.pop(0) if self.waiting else None

    def give_back(self, position: int, done: bool) -> None:
        """Say that a task was trained, or that somebody else must."""
        with self.changed:
            self.done[position] = done
            self.waiting = sorted({*self.waiting, *([] if done else [position])})
            self.changed.notify_all()


def run_side_by_side(jobs: list[Job], at_once: int, report: Report) -> Iterator[Result]:
    """Train each job's task on its data, `at_once` at a time; yield each one's result in turn.

    A task that was finished before is read from the cache. A helper that dies is gone on without:
    its network is trained here, from its last epoch on. `report` is called from several threads,
    never by two at a time.
    """
    board = _Board([finished(*job) for job in jobs])
    reporting = threading.Lock()

    def one_at_a_time(task: Task, history: list[Epoch]) -> None:
        with reporting:
            report(task, history)

    helpers = [
        _start(jobs, board, one_at_a_time) for _ in range(min(at_once, len(board.waiting)) - 1)
    ]
    try:
        for position, (task, data) in enumerate(jobs):
            while (mine := board.take(wanted=position)) is not None:
                _run(jobs[mine], one_at_a_time)
                board.give_back(mine, done=True)
            yield from run_tasks([task], data, one_at_a_time)
    finally:
        for helper in helpers:
            helper.kill()  # there is nothing left, or this fails; each epoch that ended is saved
            helper.join()


def _run(job: Job, report: Report) -> None:
    task, data = job
    list(run_tasks([task], data, report))


def _start(jobs: list[Job], board: _Board, report: Report) -> Any:
    """Start a helper, and a thread that tells it what to train."""
    context = mp.get_context("spawn")  # TensorFlow does not survive a fork
    ours, its = context.Pipe()
    helper = context.Process(target=_help, args=(its, jobs), daemon=True)
    helper.start()
    its.close()
    tasks = [task for task, _ in jobs]
    threading.Thread(target=_lead, args=(ours, tasks, board, report), daemon=True).start()
    return helper


def _lead(helper: Connection, tasks: list[Task], board: _Board, report: Report) -> None:
    """Give a helper one task after the other, and pass on what it reports."""
    position, why = None, "it was ended"
    try:
        while (said := helper.recv()) is None or isinstance(said, list):
            if said is not None and position is not None:
                report(tasks[position], said)
                continue
            if position is not None:
                board.give_back(position, done=True)
            position = board.take()
            helper.send(position)
            if position is None:
                return
        why = said
    except (EOFError, OSError):
        pass
    if position is not None:
        board.give_back(position, done=False)
        warn(f"a helper stopped training {tasks[position].name} ({why}); going on without it")


def _help(leader: Connection, jobs: list[Job]) -> None:
    """Train what the leader says, until there is nothing left; a helper's whole life.

    It sends None for "what next?", a history after each epoch, and in words why it gives up.
    """
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the leader gets it too, and ends its helpers
    threading.Thread(target=_end_with_leader, daemon=True).start()
    one_thread()
    try:
        while not has_grown():
            leader.send(None)
            position = leader.recv()
            if position is None:
                return
            _run(jobs[position], lambda _, history: leader.send(history))
        leader.send(None)
    except Exception as error:  # the leader meets it too, when it does what was left, and says so
        leader.send(f"{type(error).__name__}: {error}")


def _end_with_leader() -> None:
    """End this process as soon as its leader ends, however that comes about."""
    leader = mp.parent_process()
    if leader:
        wait([leader.sentinel])
    os._exit(1)
