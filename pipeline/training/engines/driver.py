"""The child process that speaks with Ray: it leads a trainer a slot, and writes the cache."""

import signal
import threading
import time
from collections import Counter
from contextlib import suppress
from multiprocessing.connection import Client, Connection
from typing import Any

from pipeline.base.console import stderr_into
from pipeline.base.paths import CACHE
from pipeline.base.settings import Compute
from pipeline.training.engines.cluster import Cluster, Node, RefusedError
from pipeline.training.engines.lead import Lead, comparison
from pipeline.training.engines.protocol import READY, REFUSED, SPEEDS, Ready
from pipeline.training.worker import end_with_leader, serve

TOO_OFTEN = 3  # trainers of a node that do not start
HOPE = 60.0  # seconds without any slot, after which there is none to hope for
LOOK = 3.0  # seconds between two looks at the cluster
LOG = CACHE / "ray.log"  # what Ray itself says


def drive(control: Connection, meeting: str, address: str, compute: Compute) -> None:
    """The child's whole life: trainers for its leader's jobs, until it is killed."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the leader gets it too, and ends this process
    end_with_leader()
    stderr_into(LOG)
    try:
        crew = Crew(Cluster(address, compute.gpus, LOG), compute, meeting)
        slots = sum(crew.cluster.slots(node) for node in crew.cluster.nodes())
        machine = crew.first.about["machine"]
        control.send((READY, Ready(machine, min(slots, compute.workers or slots))))
    except RefusedError as refused:
        control.send((REFUSED, str(refused)))
        return
    threading.Thread(target=crew.answer, args=(control,), daemon=True).start()
    while crew.fill():
        time.sleep(LOOK)


class Crew:
    """The trainers. The first sets what the others must be like."""

    def __init__(self, cluster: Cluster, compute: Compute, meeting: str) -> None:
        self.cluster, self.compute, self.meeting = cluster, compute, meeting
        self.jobs = 0  # that are not done
        self.refused: set[str] = set()  # nodes that may not take part
        self.busy: Counter[str] = Counter()  # trainers by node
        self.failed: Counter[str] = Counter()  # those that did not start
        self.idle_since = time.monotonic()
        self.lock = threading.Lock()
        self.first = Lead(cluster, *cluster.first_trainer())

    def answer(self, control: Connection) -> None:
        """Do what the leader asks: note the number of jobs, or measure the first trainer."""
        with suppress(EOFError, OSError):
            while True:
                asked = control.recv()
                if isinstance(asked, int):
                    self.jobs = asked
                    self.fill()
                    continue
                try:
                    control.send((SPEEDS, self._speeds(asked)))
                except RefusedError as refused:
                    control.send((REFUSED, str(refused)))

    def _speeds(self, asked: Any) -> dict[str, float]:
        """How fast the first trainer trains; if it is lost, another."""
        try:
            return self.first.speeds(*asked)
        except RefusedError:
            other = Lead(self.cluster, *self.cluster.first_trainer())
            try:
                return other.speeds(*asked)
            finally:
                other.end()

    def fill(self) -> bool:
        """Start trainers where there are slots, as many as there are jobs for.

        Returns:
            Whether there is hope: False if for a while no node has had a slot.
        """
        with self.lock:
            most = min(self.jobs, self.compute.workers or self.jobs)
            for node in self.cluster.nodes():
                slots = 0 if node.id in self.refused else self.cluster.slots(node)
                while self.busy.total() < most and self.busy[node.id] < slots:
                    self.busy[node.id] += 1
                    threading.Thread(target=self._lead, args=(node,), daemon=True).start()
            if self.busy.total() or not self.jobs:
                self.idle_since = time.monotonic()
        if time.monotonic() - self.idle_since < HOPE:
            return True
        self._tell(f"no node has had a slot for {HOPE:.0f} s")
        return False

    def _tell(self, text: str) -> None:
        """Let the leader say something."""
        with suppress(OSError), Client(self.meeting) as leader:
            leader.send(text)

    def _lead(self, node: Node) -> None:
        """Lead a trainer until it is lost, or the leader has no more jobs."""
        try:
            self._serve(node)
        finally:
            with self.lock:
                self.busy[node.id] -= 1

    def _serve(self, node: Node) -> None:
        lead = None
        with self.lock:
            if node.id == self.first.node.id and not self.first.taken:
                lead = self.first
                lead.taken = True
        try:
            lead = lead or Lead(self.cluster, node, self.cluster.trainer(node))
        except RefusedError as error:
            self.failed[node.id] += 1
            if self.cluster.up(node) and self.failed[node.id] >= TOO_OFTEN:
                self._refuse(node, f"{node.address} takes no part: no trainer starts, {error}")
            return
        different = comparison(self.first.about, lead.about, node)
        if different and not self.compute.mixed:
            self._refuse(node, different)
        else:
            with suppress(EOFError, OSError), Client(self.meeting) as leader:
                leader.send(lead.about["machine"])
                serve(leader, lead.train)
        lead.end()

    def _refuse(self, node: Node, why: str) -> None:
        with self.lock:
            told = node.id in self.refused
            self.refused.add(node.id)
        if not told:
            self._tell(why)
