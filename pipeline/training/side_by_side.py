"""Trains networks side by side: one in this process, the others in workers, each on one thread.

Two threads share a small network's layers badly: each layer ends with one waiting for the other.
Two networks on one thread each need three quarters of the time (`make benchmark`), and a network's
bits do not depend on how many cores there are, or on how many others train beside it.
"""

import multiprocessing as mp
import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from multiprocessing.connection import Connection
from typing import Any, Self

from pipeline.base.console import warn
from pipeline.base.errors import UserError
from pipeline.base.hardware import has_gpu
from pipeline.base.room import room
from pipeline.base.settings import Settings
from pipeline.data.arrays import Data
from pipeline.network.checkpoint import Epoch
from pipeline.network.task import Task
from pipeline.training.board import Board, Job, Then
from pipeline.training.cache import Report, Result, in_cache, run_tasks
from pipeline.training.worker import GROWN, NEXT, StopTrainingError, work

TOO_OFTEN = 3  # workers that one network's training may cost


def workers(settings: Settings) -> int:
    """How many networks to train at a time: `compute.workers`, or what the machine has room for."""
    if settings.compute.workers:
        return settings.compute.workers
    if has_gpu():  # whose networks share its memory; several GPUs are a cluster's
        return max(1, int(1 / (settings.compute.gpus or 1)))
    return room()


class Team:
    """This process and its workers, which start when there is work for them, and stay."""

    def __init__(self, at_once: int) -> None:
        self.at_once, self.board = at_once, Board()
        self.workers: list[Any] = []
        self.reporting = threading.RLock()
        self.report: Report = lambda _task, _history: None
        self.then: Then = lambda _task, _result: []
        self.mine: list[int] = []  # the jobs of the call of `run` that is under way

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.board.close()
        for worker in self.workers:
            worker.kill()  # each epoch that ended is saved
            worker.join()

    def results(self, jobs: list[Job], report: Report) -> Iterator[Result]:
        """See `run`; nothing stops a training here."""
        return filter(None, self.run(jobs, report))

    def run(
        self, jobs: list[Job], report: Report, then: Then = lambda _task, _result: []
    ) -> Iterator[Result | None]:
        """Train each job's task on its data; yield the results in order.

        A task that was finished before is read from the cache. If a worker dies, its network is
        trained by another, from its last epoch on.

        Args:
            jobs: tasks and the data of each.
            report: gets a task and its history after each epoch. It may raise `StopTrainingError`;
                the result is then None. It is called from several threads, never by two at a time.
            then: gets a task and its result, and gives more jobs to do; called like `report`.
        """
        self.report, self.then, self.mine = report, then, []
        self._add(jobs)
        last, at = None, 0
        while at < len(self.mine):
            position = self.mine[at]
            last = self._work_until(position, last)
            if self.board.fault:
                raise self.board.fault
            yield self.board.results.pop(position)
            at += 1

    def _work_until(self, wanted: int, last: int | None) -> int | None:
        """Train, beside the workers, until a job is done; the last that was trained here."""
        self._start_workers()
        while (taken := self.board.take(last, wanted)) is not None:
            last = taken
            self._train(taken)
            self._start_workers()
        return last

    def _add(self, jobs: list[Job]) -> None:
        for task, data in jobs:
            known = bool(in_cache(task, data))
            self.mine.append(self.board.add((task, data), waits=not known))
            if known:
                self._settle(self.mine[-1])

    def _settle(self, position: int, stopped: bool = False) -> None:
        """Note what a job gave, and add what follows."""
        task, data = self.board.jobs[position]
        result = None if stopped else self._result(task, data)
        with self.reporting:
            self._add(self.then(task, result))
        self.board.settle(position, result)

    def _result(self, task: Task, data: Data) -> Result:
        """What a network that is trained gave."""
        return next(run_tasks([task], data, self._one_at_a_time))

    def _one_at_a_time(self, task: Task, history: list[Epoch]) -> None:
        with self.reporting:
            self.report(task, history)

    def _train(self, position: int) -> None:
        """Train a job in this process."""
        task, data = self.board.jobs[position]
        try:
            next(run_tasks([task], data, self._one_at_a_time))
        except StopTrainingError:
            self._settle(position, stopped=True)
        else:
            self._settle(position)

    def _start_workers(self) -> None:
        """Start as many workers as there is work for, each with a thread that leads it."""
        wanted = min(self.at_once - 1, len(self.workers) + len(self.board.waiting) - 1)
        while len(self.workers) < wanted:
            first = self._started()
            threading.Thread(target=self._lead, args=(first,), daemon=True).start()

    def _started(self) -> Connection:
        """A new worker's end of a pipe."""
        context = mp.get_context("spawn")  # TensorFlow does not survive a fork
        ours, its = context.Pipe()
        # The jobs go through the pipe: given to `Process`, a worker that died at once would leave
        # this process waiting for ever for somebody to read them.
        worker = context.Process(target=work, args=(its,), daemon=True)
        with deaf_to_interrupts():  # as the worker then is from its first moment
            worker.start()
        its.close()
        self.workers.append(worker)
        return ours

    def _lead(self, worker: Connection) -> None:
        """Lead a worker, and its successors; what fails here fails where results are waited for."""
        try:
            while self._serve(worker) and not self.board.closed:
                worker = self._started()
        except Exception as fault:
            self.board.close(fault)

    def _serve(self, worker: Connection) -> bool:
        """Give a worker one task after the other, and pass on what it reports.

        Returns:
            Whether the worker has ended because of its memory, and wants a successor.
        """
        position, stopped, why = None, False, "it was terminated"
        while (message := _heard(worker)) is not None:
            if isinstance(message, list) and position is not None:
                stopped = not self._goes_on(position, message)
                _tell(worker, not stopped)
                continue
            if message not in (NEXT, GROWN):
                why = message
                break
            if position is not None:
                self._settle(position, stopped)
            if message == GROWN:
                return True
            position, stopped = self.board.take(position), False
            if position is None:
                return False
            _tell(worker, self.board.jobs[position])
        self._lost(position, why)
        return False

    def _lost(self, position: int | None, why: str) -> None:
        """Go on without a worker; somebody else continues its network from the last epoch."""
        if self.board.closed:
            return
        if position is None:
            warn(f"a worker stopped before it trained anything ({why}); continuing without it")
            return
        task = self.board.jobs[position][0]
        if self.board.give_back(position) == TOO_OFTEN:
            raise UserError(f"{TOO_OFTEN} workers stopped at {task.name} {task.label}, last: {why}")
        warn(f"a worker stopped while it trained {task.name} ({why}); continuing without it")

    def _goes_on(self, position: int, history: list[Epoch]) -> bool:
        """Report an epoch; whether the training continues."""
        try:
            self._one_at_a_time(self.board.jobs[position][0], history)
        except StopTrainingError:
            return False
        return True


def _heard(worker: Connection) -> Any:
    """What a worker says next; None if it has ended."""
    with suppress(EOFError, OSError):
        return worker.recv()
    return None


def _tell(worker: Connection, message: Any) -> None:
    """Tell a worker something; one that has ended is noticed when it is heard next."""
    with suppress(OSError):
        worker.send(message)


@contextmanager
def deaf_to_interrupts() -> Iterator[None]:
    """Ignore Ctrl-C for the block; only a process's main thread can."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)
