"""Trains networks on the nodes of a Ray cluster: the same jobs, the same files, sooner.

A child of this process speaks with Ray: Ray ends a process that speaks with it when its head is
lost, without a word. The child leads one trainer a slot of the cluster, and hands each to this
process as if it were a worker here. Only these two write the cache; nodes write nothing shared.
"""

import multiprocessing as mp
import tempfile
import threading
from contextlib import suppress
from multiprocessing.connection import Connection, Listener, wait
from pathlib import Path
from typing import Any, Self

from pipeline.base.console import say, warn
from pipeline.base.errors import UserError
from pipeline.base.settings import Compute
from pipeline.data.arrays import Data
from pipeline.network.task import Task
from pipeline.training.cache import Result, in_cache, read_result
from pipeline.training.engines.address import DEFAULT, check_reachable
from pipeline.training.engines.protocol import REFUSED, Ready
from pipeline.training.machine import Machine, forget_others, trains
from pipeline.training.side_by_side import Team, deaf_to_interrupts

START = 180.0  # until the first trainer says what its machine is
RETURN = "finished folds and epochs are kept; start the cluster again, then this command"


class FarTeam(Team):
    """The slots of a cluster. See `Team`; here nothing is trained in this process."""

    def __init__(self, compute: Compute) -> None:
        super().__init__(at_once=1)
        self.compute, self.address = compute, compute.address or DEFAULT
        self.asking = threading.Lock()
        self.child: Any = None

    def __enter__(self) -> Self:
        check_reachable(self.address)
        context = mp.get_context("spawn")
        self.control, its = context.Pipe()
        self.folder = tempfile.TemporaryDirectory()
        self.meeting = Listener(str(Path(self.folder.name) / "trainers"))
        arguments = (its, self.meeting.address, self.address, self.compute)
        self.child = context.Process(target=_drive, args=arguments, daemon=True)
        with deaf_to_interrupts():
            self.child.start()
        its.close()
        try:
            ready = self._first_word()
        except BaseException:
            self.__exit__()
            raise
        self.at_once = ready.slots
        say(f"on the cluster at {self.address}, {ready.slots} networks at a time")
        trains(Machine(**ready.machine, measure=self._measure))
        for target in (self._meet, self._watch):
            threading.Thread(target=target, daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self.board.close()
        if self.child:
            self.child.kill()  # Ray then ends its trainers, wherever they are
            self.child.join()
            self.meeting.close()
            self.folder.cleanup()
        forget_others()

    def _first_word(self) -> Ready:
        """What the child says once a trainer is there.

        Raises:
            UserError: there is none, and why.
        """
        if not self.control.poll(START):
            raise UserError(f"no trainer started on {self.address} within {START:.0f} s")
        with suppress(EOFError, OSError):
            kind, said = self.control.recv()
            if kind == REFUSED:
                raise UserError(said)
            return said
        raise UserError(f"the cluster at {self.address} ended this connection; {RETURN}")

    def _work_until(self, wanted: int, last: int | None) -> int | None:
        self._ask_for_trainers()
        self.board.wait_for(wanted)
        return last

    def _settle(self, position: int, stopped: bool = False) -> None:
        super()._settle(position, stopped)
        self._ask_for_trainers()

    def _result(self, task: Task, data: Data) -> Result:
        machine = in_cache(task, data)
        if machine is None:  # as after `make clean-cache` meanwhile; it is not trained here
            raise UserError(
                f"{task.name} {task.label} is not in the cache any more; run this again"
            )
        return read_result(task, data, machine)

    def _ask_for_trainers(self) -> None:
        """Tell the child how many networks there are to train."""
        with self.asking, suppress(OSError):
            self.control.send(self.board.left())

    def _measure(self, *arguments: Any) -> dict[Any, float]:
        """How fast the first trainer trains; see `speed.measure`. Before anything is trained."""
        with self.asking, suppress(EOFError, OSError):
            self.control.send(arguments)
            kind, said = self.control.recv()
            if kind == REFUSED:
                raise UserError(said)
            return dict(said)
        raise UserError(f"the cluster at {self.address} was lost; {RETURN}")

    def _meet(self) -> None:
        """Lead each trainer that the child brings."""
        with suppress(OSError):  # the meeting point is closed
            while True:
                trainer = self.meeting.accept()
                threading.Thread(target=self._begin, args=(trainer,), daemon=True).start()

    def _begin(self, trainer: Connection) -> None:
        with suppress(EOFError, OSError):
            said = trainer.recv()
            if isinstance(said, str):  # a node that may not take part, and why
                warn(said)
                return
            trains(Machine(**said))
            self._lead(trainer)

    def _lost(self, position: int | None, why: str) -> None:
        if not wait([self.child.sentinel], timeout=1):  # else it is no trainer that was lost
            super()._lost(position, why)

    def _watch(self) -> None:
        """Fail where results are waited for, as soon as the child ends."""
        wait([self.child.sentinel])
        if not self.board.closed:
            self.board.close(UserError(f"the cluster at {self.address} was lost; {RETURN}"))


def _drive(*arguments: Any) -> None:
    from pipeline.training.engines.driver import drive  # Ray, which this process does without

    drive(*arguments)
