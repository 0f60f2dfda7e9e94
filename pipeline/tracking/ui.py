"""`make ui`: MLflow on the runs of this project, for this machine only, opened at their scores."""

import os
import signal
import socket
import subprocess
import sys
import time
import webbrowser
from contextlib import suppress
from typing import Annotated

import typer

from pipeline.base.console import say
from pipeline.base.errors import UserError
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
    for number in (signal.SIGINT, signal.SIGTERM):  # also where the caller had them ignored
        signal.signal(number, signal.default_int_handler)
    LOG.parent.mkdir(parents=True, exist_ok=True)
    with LOG.open("w") as log:
        server = subprocess.Popen(
            _command(port),
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            start_new_session=True,  # Ctrl-C is for this process, which ends the server's own
        )
    try:
        page = _page(settings, f"http://127.0.0.1:{port}")
        until = time.monotonic() + PATIENCE
        while not _answers(port) and server.poll() is None and time.monotonic() < until:
            time.sleep(0.1)
        if server.poll() is None:
            say(f"MLflow runs, for this machine only, until Ctrl-C. The scores: {page}")
            sys.stdout.flush()
            if browser:
                webbrowser.open(page)
        if server.wait():
            raise UserError(f"MLflow's server ended; {LOG} says why")
        return 0
    except KeyboardInterrupt:
        return 0
    finally:
        with suppress(ProcessLookupError):
            os.killpg(server.pid, signal.SIGTERM)
        server.wait()


def _command(port: int) -> list[str]:
    os.environ["MLFLOW_SERVER_ENABLE_JOB_EXECUTION"] = "false"  # starts in half the time and memory
    os.environ["MLFLOW_DISABLE_TELEMETRY"] = "true"
    store = f"sqlite:///{DATABASE}"
    command = [sys.executable, "-m", "mlflow", "ui", "--backend-store-uri", store]
    return [*command, "--host", "127.0.0.1", "--port", str(port), "--workers", "1"]


def _answers(port: int) -> bool:
    with socket.socket() as probe:
        probe.settimeout(1.0)
        return probe.connect_ex(("127.0.0.1", port)) == 0


def _page(settings: Settings, server: str) -> str:
    """The page of the runs; it is set up if an earlier version of the code made the experiment."""
    from pipeline.tracking.submissions import open_store  # MLflow takes seconds

    return address(server, open_store(settings).experiment)
