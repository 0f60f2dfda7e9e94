"""Trains networks side by side: one in this process, the others in workers, each on one thread.

Two threads share a small network's layers badly: each layer ends with one waiting for the other.
Two networks on one thread each need three quarters of the time (`make benchmark`), and a network's
bits do not depend on how many cores there are, or on how many others train beside it.
"""

import multiprocessing as mp
import os
import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from multiprocessing.connection import Connection, wait
from typing import Any

import psutil

from pipeline.base.console import warn
from pipeline.base.hardware import cores, has_gpu
from pipeline.base.paths import CACHE
from pipeline.base.settings import Settings
from pipeline.data.arrays import Data
from pipeline.network.checkpoint import Epoch
from pipeline.network.task import Task
from pipeline.training.cache import Report, Result, finished, has_grown, run_tasks
from pipeline.training.fingerprint import fingerprint

MEMORY = 2 * 2**30  # of a process that trains, bytes
Job = tuple[Task, Data]


def workers(settings: Settings) -> int:
    """How many networks to train at a time: `compute.workers`, or what the machine has room for."""
    if settings.compute.workers:
        return settings.compute.workers
    if has_gpu():
        return 1
    return max(1, min(cores(), psutil.virtual_memory().available // MEMORY))


class _Board:
    """Which tasks nobody has started, and which are done; shared by the threads of this process."""

    def __init__(self, done: list[bool]) -> None:
        self.changed = threading.Condition()
        self.done = done
        self.over = threading.Event()  # nothing is left to do, or this failed
        self.waiting = [position for position, each in enumerate(done) if not each]

    def take(self, wanted: int | None = None) -> int | None:
        """The next task for the caller to train; None if there is none.

        With `wanted` the caller waits until there is one, or until that task is done.
        """
        with self.changed:
            while not self.waiting and wanted is not None and not self.done[wanted]:
                self.changed.wait()
            if wanted is not None and self.done[wanted]:
                return None
            return self.waiting.pop(0) if self.waiting else None

    def give_back(self, position: int, done: bool) -> None:
        """Say that a task was trained, or that it must be trained by someone else."""
        with self.changed:
            self.done[position] = done
            self.waiting = sorted({*self.waiting, *([] if done else [position])})
            self.changed.notify_all()


def run_side_by_side(jobs: list[Job], at_once: int, report: Report) -> Iterator[Result]:
    """Train each job's task on its data, `at_once` at a time; yield the results in order.

    A task that was finished before is read from the cache. If a worker dies, its network is
    trained here, from its last epoch on. `report` is called from several threads, never by two at
    a time.
    """
    board = _Board([finished(CACHE / fingerprint(*job)) for job in jobs])
    reporting = threading.Lock()

    def one_at_a_time(task: Task, history: list[Epoch]) -> None:
        with reporting:
            report(task, history)

    started = [
        _start(jobs, board, one_at_a_time) for _ in range(min(at_once, len(board.waiting)) - 1)
    ]
    try:
        for position, (task, data) in enumerate(jobs):
            while (mine := board.take(wanted=position)) is not None:
                _run(jobs[mine], one_at_a_time)
                board.give_back(mine, done=True)
            yield from run_tasks([task], data, one_at_a_time)
    finally:
        board.over.set()
        for worker in started:
            worker.kill()  # each epoch that ended is saved
            worker.join()


def _run(job: Job, report: Report) -> None:
    task, data = job
    list(run_tasks([task], data, report))


def _start(jobs: list[Job], board: _Board, report: Report) -> Any:
    """Start a worker, and a thread that tells it what to train."""
    context = mp.get_context("spawn")  # TensorFlow does not survive a fork
    ours, its = context.Pipe()
    # The jobs go through the pipe: given to `Process`, a worker that died at once would leave this
    # process waiting for ever for somebody to read them.
    worker = context.Process(target=_work, args=(its,), daemon=True)
    with _deaf_to_interrupts():  # as the worker then is from its first moment
        worker.start()
    its.close()
    threading.Thread(target=_lead, args=(ours, jobs, board, report), daemon=True).start()
    return worker


@contextmanager
def _deaf_to_interrupts() -> Iterator[None]:
    """Ignore Ctrl-C for the block; only a process's main thread can."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)


def _lead(worker: Connection, jobs: list[Job], board: _Board, report: Report) -> None:
    """Give a worker one task after the other, and pass on what it reports."""
    tasks = [task for task, _ in jobs]
    position, why = None, "it was terminated"
    try:
        worker.send(jobs)
        while (message := worker.recv()) is None or isinstance(message, list):
            if message is not None and position is not None:
                report(tasks[position], message)
                continue
            if position is not None:
                board.give_back(position, done=True)
            position = board.take()
            worker.send(position)
            if position is None:
                return
        why = message
    except (EOFError, OSError):
        pass
    doing = "before it trained anything"
    if position is not None:
        board.give_back(position, done=False)
        doing = f"while it trained {tasks[position].name}"
    if not board.over.is_set():
        warn(f"a worker stopped {doing} ({why}); continuing without it")


def _work(leader: Connection) -> None:
    """A worker's whole life: train what the leader says, until there is nothing left.

    It sends None for "what next?", a history after each epoch, and a text if it gives up.
    """
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the leader gets it too, and ends its workers
    threading.Thread(target=_end_with_leader, daemon=True).start()
    try:
        jobs: list[Job] = leader.recv()
        while not has_grown():
            leader.send(None)
            position = leader.recv()
            if position is None:
                return
            _run(jobs[position], lambda _, history: leader.send(history))
        leader.send(None)
    except Exception as error:  # the leader meets it too, when it trains the rest, and reports it
        leader.send(f"{type(error).__name__}: {error}")


def _end_with_leader() -> None:
    """End this process as soon as its leader ends, for whatever reason."""
    leader = mp.parent_process()
    if leader:
        wait([leader.sentinel])
    os._exit(1)
