"""Which networks are still to be trained, and by whom; shared by the threads of a process."""

import threading
from collections import Counter
from collections.abc import Callable

from pipeline.data.arrays import Data
from pipeline.network.task import Task
from pipeline.training.cache import Result

Job = tuple[Task, Data]
# What comes after a network: it gets the result, None if the training was stopped.
Then = Callable[[Task, Result | None], list[Job]]


class Board:
    """Jobs in their order: those that nobody has started, and what became of the others."""

    def __init__(self) -> None:
        self.changed = threading.Condition()
        self.jobs: list[Job] = []
        self.waiting: list[int] = []
        self.results: dict[int, Result | None] = {}
        self.settled = 0
        self.lost: Counter[int] = Counter()  # the workers lost while they trained a job
        self.closed = False
        self.fault: BaseException | None = None  # of a thread, for the caller to raise

    def add(self, job: Job, waits: bool = True) -> int:
        """Add a job; its position. One that is finished already does not wait."""
        with self.changed:
            self.jobs.append(job)
            position = len(self.jobs) - 1
            if waits:
                self.waiting.append(position)
                self.changed.notify_all()
            return position

    def take(self, last: int | None, wanted: int | None = None) -> int | None:
        """The next job for the caller to train; waits until there is one.

        None if the board is closed, or if the job `wanted` is done. A caller that trained the job
        `last` gets one of the same recipe, if there is one: a network is traced once a recipe.
        """
        with self.changed:
            while not self._ends(wanted):
                if self.waiting:
                    position = self._next(last)
                    self.waiting.remove(position)
                    return position
                self.changed.wait()
            return None

    def _ends(self, wanted: int | None) -> bool:
        done = wanted is not None and wanted in self.results
        return done or self.closed or self.fault is not None

    def _next(self, last: int | None) -> int:
        """One of the recipe of `last`; else of a recipe that nobody has begun; else the first."""
        recipes = {position: self.jobs[position][0].recipe for position in self.waiting}
        if last is not None:
            mine = self.jobs[last][0].recipe
            same = [position for position, recipe in recipes.items() if recipe is mine]
            if same:
                return same[0]
        begun = {id(task.recipe) for at, (task, _) in enumerate(self.jobs) if at not in recipes}
        new = [position for position, recipe in recipes.items() if id(recipe) not in begun]
        return (new or self.waiting)[0]

    def settle(self, position: int, result: Result | None) -> None:
        """Note what became of a job; None: it was stopped."""
        with self.changed:
            self.results[position] = result
            self.settled += 1
            self.changed.notify_all()

    def give_back(self, position: int) -> int:
        """Let somebody else train a job whose worker was lost; how often that came about."""
        with self.changed:
            self.lost[position] += 1
            self.waiting = sorted([*self.waiting, position])
            self.changed.notify_all()
            return self.lost[position]

    def wait_for(self, wanted: int) -> None:
        """Wait until a job is done, or the board is closed."""
        with self.changed:
            while not self._ends(wanted):
                self.changed.wait()

    def left(self) -> int:
        """How many jobs are not done."""
        with self.changed:
            return len(self.jobs) - self.settled

    def close(self, fault: BaseException | None = None) -> None:
        """Let everybody stop; `fault` is raised where the results are waited for."""
        with self.changed:
            self.closed, self.fault = True, self.fault or fault
            self.changed.notify_all()
