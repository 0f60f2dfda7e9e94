"""The processor of this machine, without TensorFlow."""

import os
import platform
from pathlib import Path


def cores() -> int:
    """The processor's cores that this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def processor() -> dict[str, str]:
    """Linux's own description of the first processor; empty elsewhere."""
    try:
        first = Path("/proc/cpuinfo").read_text().split("\n\n")[0]
    except OSError:
        return {}
    pairs = (line.split(":", 1) for line in first.splitlines() if ":" in line)
    return {key.strip(): value.strip() for key, value in pairs}


def processor_name() -> str:
    """The processor's name as it gives it itself."""
    return processor().get("model name") or platform.processor()


def family_model() -> str:
    """The processor's family and model, such as `6/207`."""
    return "/".join(processor().get(key, "") for key in ("cpu family", "model"))
