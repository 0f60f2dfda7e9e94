"""A trainer whose network is a nap. It imports next to nothing: 64 of them run on one machine."""

import os
import time

LONG, SLEEP = 5, 2.0  # epochs of a fold, seconds of one
# Bytes that a network like `compact` sends after an epoch, and at its end.
CHECKPOINT, RESULTS = {"fit.npz": 5 << 20}, {"test.npy": 1 << 20, "model.keras": 5 << 20}


class Sleeper:
    """What `engines/trainer.py` is to the engine, without training."""

    def next(self, epoch: int) -> dict[str, bytes]:
        """What an epoch sends; after the last one, the results."""
        time.sleep(SLEEP if epoch < LONG else 0)
        sizes = CHECKPOINT if epoch < LONG else RESULTS
        return {name: os.urandom(size) for name, size in sizes.items()}
