"""`make chaos`: break the real pipeline in every way, note what came of it, print a table."""

import os
import platform
import signal
import sys
from collections.abc import Callable
from enum import StrEnum
from fnmatch import fnmatch
from pathlib import Path
from random import Random
from typing import Annotated

import typer
from filelock import FileLock, Timeout

from chaos import cluster, kills, report, rot, servers, starvation, together
from chaos.experiment import Experiment, perform, read_outcomes
from chaos.workshop import Workshop
from pipeline.base.console import exit_code_of, say, warn
from pipeline.base.errors import UserError
from support.project import REPOSITORY

FOLDER = REPOSITORY / "experiments/cache/chaos"


class Kind(StrEnum):
    """What `--only` takes."""

    KILLS = "kills"
    STARVATION = "starvation"
    TOGETHER = "together"
    SERVERS = "servers"
    ROT = "rot"
    CLUSTER = "cluster"


def experiments(count: int, seed: int, only: Kind | None) -> list[Experiment]:
    """All experiments, or those of one kind."""
    of_kind: dict[Kind, Callable[[], list[Experiment]]] = {
        Kind.ROT: lambda: rot.experiments(seed),
        Kind.STARVATION: starvation.experiments,
        Kind.TOGETHER: together.experiments,
        Kind.SERVERS: servers.experiments,
        Kind.CLUSTER: cluster.experiments,
        Kind.KILLS: lambda: kills.experiments(count, seed),
    }
    return [each for kind, make in of_kind.items() if only in (None, kind) for each in make()]


def machine() -> str:
    """The machine, as Linux names its processor."""
    about = Path("/proc/cpuinfo")
    lines = about.read_text().splitlines() if about.exists() else []
    name = next((line.split(":")[1].strip() for line in lines if "model name" in line), "")
    return f"{os.cpu_count()} cores of {name or platform.processor()}"


def main(
    kills: Annotated[int, typer.Option(min=0, help="How many kills.")] = 50,
    seed: Annotated[int, typer.Option(help="Chooses moments, signals and bytes.")] = 0,
    only: Annotated[Kind | None, typer.Option(help="Experiments of one kind.")] = None,
    name: Annotated[
        str, typer.Option(help="This one, or all like `full-*`; also if tried before.")
    ] = "",
) -> None:
    """Break the pipeline on a slice in every way; what was tried before is not tried again."""
    signal.signal(
        signal.SIGINT, signal.default_int_handler
    )  # the shell's `&` would have it ignored
    FOLDER.mkdir(parents=True, exist_ok=True)
    try:
        with FileLock(FOLDER / "lock", timeout=0):
            _try_all(experiments(kills, seed, only), seed, name)
    except Timeout:
        raise UserError("another `make chaos` is running here") from None


def _try_all(wanted: list[Experiment], seed: int, name: str) -> None:
    outcomes = FOLDER / f"{seed}.jsonl"
    known = read_outcomes(outcomes)
    todo = [
        each for each in wanted if (fnmatch(each.name, name) if name else each.name not in known)
    ]
    if name and not todo:
        raise UserError(f"no experiment is called {name!r}")
    shop = Workshop(FOLDER, Random(seed))
    say(f"{len(todo)} of {len(wanted)} experiments to try; the undisturbed run first ...")
    shop.make_base()
    for place, each in enumerate(todo, start=1):
        row = perform(each, shop, outcomes)
        said = str(row.get("said", "")).strip().splitlines()
        say(f"{place}/{len(todo)}  {each.name}  {row['outcome']}  {row['seconds']:.0f} s  "
            f"{said[-1] if said else ''}")  # fmt: skip
    rows = list(read_outcomes(outcomes).values())
    report.show(rows)
    report.write(rows, seed, machine())
    failed = [row["name"] for row in rows if row["outcome"] == "failed"]
    for each in failed:
        warn(f"failed: make chaos SEED={seed} NAME={each}")
    if failed:
        raise UserError(f"{len(failed)} of {len(rows)} experiments failed; their output is in "
                        f"{FOLDER.relative_to(REPOSITORY)}/failed/")  # fmt: skip


if __name__ == "__main__":
    app = typer.Typer(add_completion=False)
    app.command()(main)
    sys.exit(exit_code_of(lambda: app(standalone_mode=False)))
