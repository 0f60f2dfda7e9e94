"""Check params.yaml and the recipes it lists, before anything runs; clear a lock cut short."""

import json
import time
from pathlib import Path

from pipeline.config import load_settings
from pipeline.console import run_command, warn
from pipeline.recipe import load_recipe

LOCK = Path(".dvc/tmp/rwlock")  # what each running dvc reads and writes; DVC checks that they live


def clear_lock() -> None:
    """Remove DVC's list of who reads and writes what if a kill came while it was being written.

    DVC forgives a dead process in it, but not half a list. One that is being written now is whole
    a moment later.
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
    warn(f"{LOCK} was cut short by a kill, and is removed")


def main() -> None:
    """Check params.yaml and the recipes it lists; say nothing if they are good."""
    for name in load_settings().recipes:
        load_recipe(name)
    clear_lock()


if __name__ == "__main__":
    run_command(main)
