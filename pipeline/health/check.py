"""Checks params.yaml and the recipes it lists before anything runs; clears a broken lock of DVC."""

import json
import time
from pathlib import Path

from pipeline.base.console import warn
from pipeline.base.settings import load_settings
from pipeline.health.surroundings import check_needed
from pipeline.recipes.files import load_recipe

LOCK = Path(".dvc/tmp/rwlock")  # what each running dvc reads and writes


def clear_lock() -> None:
    """Remove DVC's list of who reads and writes what, if a kill cut it short.

    DVC handles a dead process in the list, but not half a list. One that is being written now is
    complete a moment later.
    """
    for _ in range(5):
        try:
            json.loads(LOCK.read_text())
        except FileNotFoundError:
            return
        except ValueError:
            time.sleep(0.1)
        else:
            return
    LOCK.unlink(missing_ok=True)
    warn(f"{LOCK} was cut short by a kill and has been removed")


def main() -> None:
    """Check params.yaml, its recipes, and what a run needs; print nothing if all is good."""
    for name in load_settings().recipes:
        load_recipe(name)
    check_needed()
    clear_lock()
