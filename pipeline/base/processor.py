"""The processor of this machine, without TensorFlow."""

import os
import platform
from pathlib import Path

QUOTA = Path("/sys/fs/cgroup/cpu.max")  # of a container: microseconds of work in a period


def cores() -> int:
    """The processor's cores that this process may use; of a container not the whole machine's."""
    if hasattr(os, "sched_getaffinity"):
        allowed = len(os.sched_getaffinity(0))
    else:
        allowed = os.cpu_count() or 1
    try:
        quota, period = QUOTA.read_text().split()
        return max(1, min(allowed, int(quota) // int(period)))
    except (OSError, ValueError):  # no cgroups here, or `max`: no limit
        return allowed


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
