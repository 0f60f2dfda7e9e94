"""What this machine can do, and TensorFlow set up for it: import `keras` and `tf` from here."""

import os
import platform
import re
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

# What TensorFlow says at every start, before its own log level is in force.
_START_UP_NOISE = re.compile(
    r"^I0000 |absl::InitializeLog|cuInit|cuda drivers|following instructions:|^\s*$"
)


@contextmanager
def _without_start_up_noise() -> Iterator[None]:
    """Hold back what is written to stderr, by C++ too, and pass on all but the known noise."""
    sys.stderr.flush()
    real = os.dup(2)
    with tempfile.TemporaryFile() as held:
        os.dup2(held.fileno(), 2)
        try:
            yield
        finally:
            sys.stderr.flush()
            os.dup2(real, 2)
            os.close(real)
            held.seek(0)
            for line in held.read().decode(errors="replace").splitlines():
                if not _START_UP_NOISE.search(line):
                    print(line, file=sys.stderr)


os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
os.environ["KERAS_BACKEND"] = "tensorflow"  # whatever the user's own Keras is set to
with _without_start_up_noise():
    import keras
    import tensorflow as tf

    tf.config.list_physical_devices()  # looks for GPUs, and says at length that there is none
# Each fold is a new network, traced anew by design; TensorFlow takes the tracing for a mistake.
tf.get_logger().addFilter(lambda record: "retracing" not in record.getMessage())

__all__ = ["cores", "describe", "has_gpu", "keras", "one_thread", "resolve_precision", "tf"]


def cores() -> int:
    """The processor's cores that this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def one_thread() -> None:
    """Let TensorFlow work on one thread from here on, so that a process a core can do so.

    With a GPU, which the threads only feed, this changes nothing.

    Raises:
        RuntimeError: TensorFlow has computed something already, on more threads.
    """
    if not has_gpu():
        tf.config.threading.set_intra_op_parallelism_threads(1)
        tf.config.threading.set_inter_op_parallelism_threads(1)


def has_gpu() -> bool:
    """Whether TensorFlow sees a GPU."""
    return bool(tf.config.list_physical_devices("GPU"))


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
