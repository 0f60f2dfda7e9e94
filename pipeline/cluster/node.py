"""Ray's own processes of a node, in the foreground: they end with this command."""

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from importlib.util import find_spec
from pathlib import Path
from typing import Annotated

import psutil
import typer

from pipeline.base.console import say
from pipeline.base.errors import UserError
from pipeline.base.room import room

PORT = 6379  # of the head
# Ports of every node, so that a firewall can name them.
MANAGER, OBJECTS, WORKERS = 6380, 6381, (10002, 10999)
PORTS = f"{PORT} to {OBJECTS} and {WORKERS[0]} to {WORKERS[1]}"
Slots = Annotated[int | None, typer.Option(min=1, help="Networks at a time; else one a core.")]
STARTED = "Ray runtime started"
PATIENCE = 60.0  # seconds for a node to start
STORE = 300 * 2**20, 0.1  # bytes, and share of the memory, for arrays that trainers share
# What a trainer may know of the shell that started its node: no token, password or key.
KNOWN = {"PATH", "HOME", "LANG", "TMPDIR", "TZ", "USER", "LOGNAME", "SHELL"}
KNOWN_STARTS = ("LC_", "CUDA_", "NVIDIA_", "LD_LIBRARY_", "TF_", "XLA_", "ONEDNN_", "DNNL_", "RAY_")
SECRETS = ("TOKEN", "SECRET", "PASSWORD", "KEY")
SETTINGS = {
    "RAY_AUTH_MODE": "token",
    "RAY_USAGE_STATS_ENABLED": "0",
    "RAY_SCHEDULER_EVENTS": "0",
    # A node that does not answer for 12 seconds, instead of 64, is lost.
    "RAY_health_check_period_ms": "1000",
    "RAY_health_check_timeout_ms": "3000",
    "RAY_health_check_failure_threshold": "3",
}


def environment(token: Path) -> dict[str, str]:
    """What the node's processes inherit."""
    kept = {
        name: value
        for name, value in os.environ.items()
        if (name in KNOWN or name.startswith(KNOWN_STARTS))
        and not any(word in name for word in SECRETS)
    }
    return kept | SETTINGS | {"RAY_AUTH_TOKEN_PATH": str(token)}


def arguments(*more: str, slots: int | None) -> list[str]:
    """The command that runs a node with so many slots; None: as many as it has room for."""
    if find_spec("ray") is None:
        raise UserError("Ray is not installed; `make cluster-local`, -head and -join install it")
    least, share = STORE
    store = max(least, int(share * psutil.virtual_memory().total))
    command = [str(Path(sys.executable).with_name("ray")), "start", "--block", *more]
    command += [f"--num-cpus={slots or room()}", f"--object-store-memory={store}"]
    command += [f"--node-manager-port={MANAGER}", f"--object-manager-port={OBJECTS}"]
    command += [f"--min-worker-port={WORKERS[0]}", f"--max-worker-port={WORKERS[1]}"]
    return [*command, "--disable-usage-stats"]


def check_free(port: int) -> None:
    """Look whether a port is free.

    Raises:
        UserError: something listens there.
    """
    with suppress(OSError):
        socket.create_connection(("127.0.0.1", port), 1).close()
        raise UserError(
            f"port {port} is in use; a cluster runs here already? `make cluster-status`"
        )


@contextmanager
def node(command: list[str], token: Path, log: Path) -> Iterator[subprocess.Popen[bytes]]:
    """A node's processes for the block; they are there when it begins.

    Args:
        command: see `arguments`.
        token: the file of the cluster's token.
        log: gets what Ray says.

    Raises:
        UserError: they do not start, and why.
    """
    log.parent.mkdir(parents=True, exist_ok=True)
    with log.open("wb") as file:
        process = subprocess.Popen(
            command,
            env=environment(token),
            stdin=subprocess.DEVNULL,
            stdout=file,
            stderr=file,
            start_new_session=True,  # Ctrl-C is for this process, which ends those
        )
    try:
        _wait_for(process, log)
        yield process
    finally:
        _end(process)


def _wait_for(process: subprocess.Popen[bytes], log: Path) -> None:
    until = time.monotonic() + PATIENCE
    while STARTED not in (said := log.read_text(errors="replace")):
        if process.poll() is not None or "InvalidAuthToken" in said:
            raise UserError(_why(said, log))
        if time.monotonic() > until:
            raise UserError(f"Ray did not start within {PATIENCE:.0f} s; see {log}")
        time.sleep(0.2)


def _why(said: str, log: Path) -> str:
    if "InvalidAuthToken" in said:
        return "the cluster has another token; copy ~/.ray/auth_token of its head, TOKEN=that file"
    if "ersion mismatch" in said:
        start = said.index("ersion mismatch") - 1
        what = " ".join(said[start:].split("\n\n")[0].split())[:300]
        return f"{what}; all machines of a cluster need the same"
    lines = [line for line in said.splitlines() if line.strip()]
    return f"Ray did not start: {lines[-1].strip() if lines else 'it said nothing'}; see {log}"


def _end(process: subprocess.Popen[bytes]) -> None:
    """End the processes of a node, and no other Ray's."""
    with suppress(psutil.NoSuchProcess):
        family = psutil.Process(process.pid).children(recursive=True)
        process.send_signal(signal.SIGTERM)  # `ray start --block` ends what it has started
        _, alive = psutil.wait_procs([psutil.Process(process.pid), *family], timeout=15)
        for each in alive:
            with suppress(psutil.NoSuchProcess):
                each.kill()
    process.wait()


def stay(process: subprocess.Popen[bytes]) -> None:
    """Wait until the node ends."""
    while process.poll() is None:
        time.sleep(0.2)


def own_address(towards: str = "192.0.2.1") -> str:
    """This machine's address on the way to another one."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe, suppress(OSError):
        probe.connect((towards, 9))  # sends nothing
        return str(probe.getsockname()[0])
    say("no network was found; other machines cannot join")
    return "127.0.0.1"
