"""TensorFlow set up for this machine: import `keras` and `tf` from here. What the machine can do.

A process trains one network on one thread: two such processes train two networks in three quarters
of the time that two threads need for one after the other. A GPU, which the threads only feed,
leaves them as they are.
"""

import os
import platform
from contextlib import suppress
from pathlib import Path
from typing import Any

from pipeline.base.quiet import without_start_up_noise

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
os.environ["KERAS_BACKEND"] = "tensorflow"  # whatever the user's own Keras is set to
with without_start_up_noise():
    import keras
    import tensorflow as tf

    tf.config.list_physical_devices()  # looks for GPUs, and prints lines if there is none
# Each fold is a new network, traced once by design; TensorFlow takes that for a mistake.
tf.get_logger().addFilter(lambda record: "retracing" not in record.getMessage())

__all__ = ["cores", "describe", "has_gpu", "keras", "resolve_precision", "tf", "use_threads"]


def cores() -> int:
    """The processor's cores that this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def has_gpu() -> bool:
    """Whether TensorFlow sees a GPU."""
    return bool(tf.config.list_physical_devices("GPU"))


def use_threads(count: int) -> None:
    """Let TensorFlow work on `count` threads; 0: as many as there are cores.

    Raises:
        RuntimeError: TensorFlow has already computed something, on another number.
    """
    tf.config.threading.set_intra_op_parallelism_threads(count)
    tf.config.threading.set_inter_op_parallelism_threads(count)


if not has_gpu():
    with suppress(RuntimeError):  # a notebook has computed before, and keeps its threads
        use_threads(1)


def _processor() -> dict[str, str]:
    """Linux's own description of the first processor; empty elsewhere."""
    try:
        first = Path("/proc/cpuinfo").read_text().split("\n\n")[0]
    except OSError:
        return {}
    pairs = (line.split(":", 1) for line in first.splitlines() if ":" in line)
    return {key.strip(): value.strip() for key, value in pairs}


def resolve_precision(wanted: str) -> str:
    """`auto` becomes `mixed_bfloat16` where the processor or GPU multiplies it, else `float32`."""
    if wanted != "auto":
        return wanted
    if has_gpu():
        gpu = tf.config.list_physical_devices("GPU")[0]
        capability = tf.config.experimental.get_device_details(gpu).get("compute_capability", (0,))
        return "mixed_bfloat16" if capability >= (8,) else "float32"
    flags = _processor().get("flags", "").split()
    return "mixed_bfloat16" if {"avx512_bf16", "amx_bf16"} & set(flags) else "float32"


def describe() -> dict[str, Any]:
    """What may change the bits of a trained network: processor, threads, GPU, versions."""
    details = [
        tf.config.experimental.get_device_details(gpu).get("device_name", "unknown")
        for gpu in tf.config.list_physical_devices("GPU")
    ]
    return {
        "processor": _processor().get("model name") or platform.processor(),
        "family_model": "/".join(_processor().get(key, "") for key in ("cpu family", "model")),
        "threads": tf.config.threading.get_intra_op_parallelism_threads() or cores(),
        "gpus": details,
        # Threads and kernels may be set from outside; another number of threads, other bits.
        "environment": {
            name: value
            for name, value in sorted(os.environ.items())
            if name.startswith(("TF_NUM_", "TF_ENABLE_ONEDNN", "OMP_", "ONEDNN_", "DNNL_"))
        },
        "tensorflow": tf.__version__,
        "keras": keras.__version__,
    }
