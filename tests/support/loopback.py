"""Servers on 127.0.0.1."""

import socket
import subprocess
import time


def free_port() -> int:
    """A port that nobody listens on."""
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return int(one.getsockname()[1])


def wait_for(port: int, process: subprocess.Popen[bytes]) -> None:
    """Wait until `process` listens, 3 minutes at the most."""
    until = time.monotonic() + 180
    while time.monotonic() < until:
        assert process.poll() is None, f"the server ended, exit code {process.returncode}"
        with socket.socket() as probe:
            if probe.connect_ex(("127.0.0.1", port)) == 0:
                return
        time.sleep(0.2)
    raise AssertionError("nothing listens")
