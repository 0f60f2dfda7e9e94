"""An experiment: what is broken, and how it is tried; the file of outcomes."""

import json
import time
import traceback
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from chaos.project import FailedError, SkippedError
from chaos.workshop import Workshop


@dataclass(frozen=True)
class Experiment:
    """One way to break the pipeline.

    `run` returns what is worth noting, and raises `FailedError` or `SkippedError`.
    """

    kind: str
    name: str
    run: Callable[[Workshop], dict[str, Any]]
    about: dict[str, Any] = field(default_factory=dict)


def read_outcomes(path: Path) -> dict[str, dict[str, Any]]:
    """The last outcome of each experiment, by name; a line that a kill cut short is left out."""
    found = {}
    for line in path.read_text().splitlines() if path.exists() else ():
        try:
            row = json.loads(line)
        except ValueError:
            continue
        found[row["name"]] = row
    return found


def perform(experiment: Experiment, shop: Workshop, outcomes: Path) -> dict[str, Any]:
    """Try it, and note what came of it at the end of the file of outcomes."""
    started = time.monotonic()
    row: dict[str, Any] = {"kind": experiment.kind, "name": experiment.name} | experiment.about
    try:
        row |= {"outcome": "survived"} | experiment.run(shop)
    except SkippedError as error:
        row |= {"outcome": "skipped", "said": str(error)}
    except FailedError as error:
        row |= {"outcome": "failed", "said": str(error)}
    except Exception:  # the experiment itself is at fault: told, and gone on with
        row |= {"outcome": "failed", "said": traceback.format_exc(limit=-3)}
    row["seconds"] = round(time.monotonic() - started, 1)
    if row["outcome"] == "failed":
        kept = outcomes.parent / "failed" / f"{experiment.name}.log"
        kept.parent.mkdir(exist_ok=True)
        log = shop.folder / "work.log"
        kept.write_bytes(log.read_bytes() if log.exists() else b"")
    with outcomes.open("a") as file:
        file.write(json.dumps(row) + "\n")
    return row
