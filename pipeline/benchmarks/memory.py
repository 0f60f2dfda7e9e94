"""Does a training's memory grow with the data? The same network on 1, 4 and 16 times the rows."""

import json
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated

import numpy as np
import psutil
import typer
from rich.table import Table

from pipeline.base.console import console
from pipeline.base.files import write_blocks
from pipeline.data.arrays import Data
from pipeline.network.way import OURS
from pipeline.recipes.recipe import Recipe

SHAPE, CLASSES = (96, 96, 3), 2
# It computes little: what is measured is the way of the images.
RECIPE = {
    "description": "A network for measuring memory.",
    "augmentation": {"horizontal_flip": True},
    "layers": [{"Conv2D": {"filters": 4, "kernel_size": 8, "strides": 8}}, "Flatten"],
    "loss": "CategoricalCrossentropy",
    "optimizer": "Adam",
    "batch_size": 64,
    "epochs": 1,
}


def images(rows: int) -> Iterator[np.ndarray]:
    """Made-up images, a thousand at a time."""
    random = np.random.default_rng(0)
    for start in range(0, rows, 1000):
        yield random.integers(0, 256, (min(1000, rows - start), *SHAPE), dtype=np.uint8)


def measure_here(rows: int) -> None:
    """Train one fold of so many rows, and print the seconds, and the memory in MB, as JSON."""
    from pipeline.network.task import Task
    from pipeline.network.train_fold import train_fold

    with tempfile.TemporaryDirectory(dir=".") as name:
        folder = Path(name)
        for side, count in (("train", rows), ("test", rows // 4)):
            write_blocks(folder / f"{side}.npy", (count, *SHAPE), images(count))
        mapped = [np.load(folder / f"{side}.npy", mmap_mode="r") for side in ("train", "test")]
        labels = (np.arange(rows) % CLASSES).astype(np.uint8)
        folds = (np.arange(rows) // CLASSES % 4).astype(np.uint8)
        data = Data(mapped[0], labels, mapped[1], folds, ("0", "1"))
        task = Task("memory", Recipe.model_validate(RECIPE), CLASSES, 1, OURS, 0, 0)
        peak, started = _Peak(), time.perf_counter()
        with peak:
            train_fold(task, data, folder, lambda _: None)
        seconds = time.perf_counter() - started
    print(json.dumps({"seconds": seconds, "own": peak.own, "all": peak.all}))


class _Peak:
    """The most memory of this process while it is entered, in MB."""

    def __init__(self) -> None:
        self.own = self.all = 0.0
        self.over = threading.Event()
        self.thread = threading.Thread(target=self._watch)

    def _watch(self) -> None:
        while not self.over.wait(0.05):
            used = psutil.Process().memory_info()
            self.all = max(self.all, used.rss / 1e6)
            self.own = max(self.own, (used.rss - getattr(used, "shared", 0)) / 1e6)

    def __enter__(self) -> None:
        self.thread.start()

    def __exit__(self, *_: object) -> None:
        self.over.set()
        self.thread.join()


def main(
    rows: Annotated[int, typer.Option(min=100, help="The smallest number of images.")] = 2000,
    only: Annotated[int, typer.Option(hidden=True)] = 0,
) -> None:
    """Train on 1, 4 and 16 times the images of 96 x 96 x 3, and show the memory it takes."""
    if only:
        measure_here(only)
        return
    table = Table("images", "their size", "seconds", "own memory", "with mapped pages", box=None)
    for times in (1, 4, 16):
        count = rows * times
        command = [sys.executable, "-m", "pipeline", "benchmark-memory", "--only", str(count)]
        done = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True)
        found = json.loads(done.stdout.splitlines()[-1])
        size = count * np.prod(SHAPE) / 1e6
        table.add_row(
            f"{count:,}", f"{size:,.0f} MB", f"{found['seconds']:.1f}",
            f"{found['own']:,.0f} MB", f"{found['all']:,.0f} MB",
        )  # fmt: skip
    console.print(table)
