"""How much this machine can do at a time."""

import psutil

from pipeline.base.processor import cores

MEMORY = 2 * 2**30  # of a process that trains, bytes


def room() -> int:
    """How many networks the processor and the memory have room for at a time."""
    return max(1, min(cores(), psutil.virtual_memory().available // MEMORY))
