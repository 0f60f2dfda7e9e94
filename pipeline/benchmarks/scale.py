"""`make benchmark-scale`: what the engine costs on 1 and 2 workers, and where more of them wait.

The first table trains real folds on this machine, by both engines. The second lets up to 64
trainers of the real Ray sleep for the time of an epoch and send files as large as a network's: only
the driver, the object store and the disk are at work. The third fills the stores that grow.
"""

import shutil
import tempfile
import threading
import time
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from queue import Empty, Queue
from statistics import median
from typing import Annotated, Any

import typer
from rich.table import Table

from pipeline.base.console import console, interruptible, say
from pipeline.base.paths import CACHE
from pipeline.base.settings import Settings, load_settings
from pipeline.benchmarks.growth import growth
from pipeline.benchmarks.sleeper import CHECKPOINT, LONG, RESULTS, SLEEP, Sleeper
from pipeline.cluster.node import PORT, arguments, check_free, node
from pipeline.cluster.token import make_token
from pipeline.data.arrays import Data, load_data
from pipeline.network.task import Task
from pipeline.recipes.files import load_recipe
from pipeline.training.engines import engine
from pipeline.training.folds import fold_tasks

ROUNDS = 3
FOLDS, EPOCHS, ROWS = 4, 3, 6000  # of a round of the first table
SLEEPS = (1, 2, 4, 8, 16, 32, 64)  # trainers of the second
MANY = 60  # its folds
START = 120.0  # seconds in which one of them starts


def main(
    recipe: Annotated[str, typer.Argument(help="Whose network is trained.")] = "compact",
    most: Annotated[int, typer.Option(min=1, help="Trainers that sleep, at most.")] = 64,
) -> None:
    """Measure both engines on this machine, up to 64 trainers that sleep, and what grows."""
    settings, data = load_settings(), load_data()
    check_free(PORT)
    interruptible()  # the node ends with this command, also by a signal
    growth()
    command = arguments("--head", f"--port={PORT}", "--include-dashboard=false", slots=most)
    with node(command, make_token(), CACHE / "ray-scale.log"):
        engines(settings, data, recipe)
        sleepers(most)


def engines(settings: Settings, data: Data, name: str) -> None:
    """Time the same folds by each engine on 1 and 2 workers, in turns; say what Ray adds."""
    tasks = fold_tasks(settings, name, load_recipe(name), len(data.classes), repeats=1)[:FOLDS]
    rows = tuple(range(0, len(data.train_labels), max(1, len(data.train_labels) // ROWS)))
    tasks = [replace(task, epochs=EPOCHS, rows=rows, test=False) for task in tasks]
    seconds: dict[tuple[str, int], list[float]] = {}
    for number in range(ROUNDS):
        for kind in ("local", "ray"):
            for workers in (1, 2):
                compute = {"engine": kind, "address": None, "workers": workers}
                seed = 10_000 + 100 * number + 10 * workers + (kind == "ray")
                each = [replace(task, seed=seed) for task in tasks]
                seconds.setdefault((kind, workers), []).append(
                    _time(settings.changed(compute=compute), each, data)
                )
    table = Table("engine", "workers", "seconds", "speed-up", "to local", title=f"{FOLDS} folds")
    for (kind, workers), found in seconds.items():
        mine, one = median(found), median(seconds[kind, 1])
        local = median(seconds["local", workers])
        table.add_row(kind, str(workers), f"{mine:.1f}", f"{one / mine:.2f}", f"{mine / local:.2f}")
    console.print(table)


def _time(settings: Settings, tasks: list[Task], data: Data) -> float:
    """Seconds of the tasks' training, from the first epoch to the last result."""
    began: list[float] = []

    def report(_task: Task, history: list[Any]) -> None:
        began.append(time.monotonic() - history[0]["seconds"])

    with engine(settings) as team:
        for result in team.results([(task, data) for task in tasks], report):
            shutil.rmtree(CACHE / result.fingerprint)
        return time.monotonic() - began[0]


def sleepers(most: int) -> None:
    """Let trainers sleep and send, 1 to `most` of them; how far from N times as fast as one."""
    from pipeline.training.engines.cluster import Cluster, answer_of, end

    Cluster(f"127.0.0.1:{PORT}", 0.0, CACHE / "ray.log")  # the connection is the process's
    import ray  # after that: it reads its settings when it is imported

    say(f"starting {most} trainers that sleep")
    trainers = []
    for _ in range(most):  # Ray warns of many that start at a time
        trainers.append(ray.remote(Sleeper).options(num_cpus=1).remote())
        answer_of(trainers[-1].next.remote(LONG), START)
    each = (LONG * sum(CHECKPOINT.values()) + sum(RESULTS.values())) / 1e6
    for count in (number for number in SLEEPS if number <= most):
        folds = min(MANY, 4 * count)  # one trainer would sleep for ten minutes
        seconds = _sleep(trainers[:count], folds)
        ideal = -(-folds // count) * LONG * SLEEP
        say(
            f"{count} trainers, {folds} folds of {LONG} x {SLEEP:g} s: {seconds:.1f} s, "
            f"{ideal / seconds:.0%} of what is possible; {each * folds / seconds:.0f} MB a second"
        )
    for trainer in trainers:
        end(trainer)
    ray.shutdown()


def _sleep(trainers: list[Any], folds: int) -> float:
    """Seconds that the trainers need for so many folds that sleep."""
    left: Queue[int] = Queue()
    for number in range(folds):
        left.put(number)
    with tempfile.TemporaryDirectory(dir=CACHE) as name:
        began, folder = time.monotonic(), Path(name)
        threads = [threading.Thread(target=_lead, args=(each, left, folder)) for each in trainers]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        return time.monotonic() - began


def _lead(trainer: Any, left: Queue[int], folder: Path) -> None:
    """Let a trainer do one fold after the other, and write what it sends, as `Lead` does."""
    from pipeline.training.engines.cluster import answer_of
    from pipeline.training.engines.lead import receive

    with suppress(Empty):
        while True:
            mine = folder / str(left.get_nowait())
            mine.mkdir()
            for epoch in range(LONG + 1):
                receive(mine, answer_of(trainer.next.remote(epoch), 120))
