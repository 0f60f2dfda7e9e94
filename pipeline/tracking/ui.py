"""`make ui`: MLflow on the runs of this project, for this machine only, opened at their scores."""

import os
import signal
import socket
import subprocess
import sys
import time
import webbrowser
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Annotated, Any

import typer

from pipeline.base.console import interruptible, say
from pipeline.base.errors import UserError, first_line
from pipeline.base.paths import CACHE, DATABASE
from pipeline.base.settings import OFF, Settings, load_settings
from pipeline.tracking.view import address

LOG = CACHE / "mlflow-ui.log"
PATIENCE = 60.0  # seconds for the server to start


def main(
    port: Annotated[int, typer.Option(min=1, max=65535, help="Of 127.0.0.1.")] = 5000,
    browser: Annotated[bool, typer.Option(help="Open the page.")] = sys.stdout.isatty(),
) -> int:
    """Serve MLflow on 127.0.0.1 until Ctrl-C, and open the page of the runs."""
    settings = load_settings()
    uri = settings.tracking.uri
    if uri == OFF:
        raise UserError("params.yaml: tracking.uri is off: no run is logged; null logs them here")
    if uri:
        say(f"params.yaml: tracking.uri: the runs are on a server; open {_page(settings, uri)}")
        return 0
    if not DATABASE.exists():
        raise UserError(f"{DATABASE} is missing: no runs yet; `make quick` makes some")
    if _answers(port):
        raise UserError(f"port {port} is in use; choose another: `make ui PORT={port + 1}`")
    interruptible()
    with suppress(KeyboardInterrupt), _server(port) as server:
        page = _page(settings, f"http://127.0.0.1:{port}")
        if _started(server, port):
            say(f"MLflow runs, for this machine only, until Ctrl-C. The scores: {page}")
            sys.stdout.flush()
            if browser:
                webbrowser.open(page)
        else:
            raise UserError(f"MLflow's server does not answer; {LOG} says why")
        while server.poll() is None:  # a signal that comes just before a long wait is not heard
            time.sleep(0.2)
        if server.returncode:
            raise UserError(f"MLflow's server ended; {LOG} says why")
    return 0


@contextmanager
def _server(port: int) -> Iterator[subprocess.Popen[bytes]]:
    """MLflow's server for the block, in a session of its own: Ctrl-C is for this process alone."""
    LOG.parent.mkdir(parents=True, exist_ok=True)
    with LOG.open("w") as log:
        given: dict[str, Any] = {"stdin": subprocess.DEVNULL, "stdout": log, "stderr": log}
        server = subprocess.Popen(_command(port), start_new_session=True, **given)
    try:
        yield server
    finally:
        with suppress(ProcessLookupError):
            os.killpg(server.pid, signal.SIGTERM)
            try:
                server.wait(timeout=5)
            except subprocess.TimeoutExpired:
                os.killpg(server.pid, signal.SIGKILL)
                server.wait()


def _command(port: int) -> list[str]:
    os.environ["MLFLOW_SERVER_ENABLE_JOB_EXECUTION"] = "false"  # starts in half the time and memory
    os.environ["MLFLOW_DISABLE_TELEMETRY"] = "true"
    store = f"sqlite:///{DATABASE}"
    command = [sys.executable, "-m", "mlflow", "ui", "--backend-store-uri", store]
    return [*command, "--host", "127.0.0.1", "--port", str(port), "--workers", "1"]


def _started(server: subprocess.Popen[bytes], port: int) -> bool:
    """Wait until the server answers; False if it ends before, or takes too long."""
    until = time.monotonic() + PATIENCE
    while server.poll() is None and time.monotonic() < until:
        if _answers(port):
            return True
        time.sleep(0.1)
    return False


def _answers(port: int) -> bool:
    with socket.socket() as probe:
        probe.settimeout(1.0)
        return probe.connect_ex(("127.0.0.1", port)) == 0


def _page(settings: Settings, server: str) -> str:
    """The page of the runs; it is set up if an earlier version of the code made the experiment."""
    from pipeline.tracking.submissions import open_store  # MLflow takes seconds

    try:
        return address(server, open_store(settings).experiment)
    except Exception as error:  # whatever a tracking server or its client raises
        raise UserError(f"MLflow does not answer at {server}: {first_line(error)}") from None
