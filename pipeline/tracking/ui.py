"""`python -m pipeline ui`: MLflow's UI on the runs of this checkout, for this machine only."""

import os
import shutil
from typing import Annotated

import typer

from pipeline.base.console import say
from pipeline.base.errors import UserError
from pipeline.base.paths import DATABASE
from pipeline.base.settings import OFF, load_settings


def main(
    port: Annotated[int, typer.Option(min=1, max=65535, help="Of 127.0.0.1.")] = 5000,
) -> None:
    """Serve the MLflow UI on 127.0.0.1 until Ctrl-C."""
    uri = load_settings().tracking.uri
    if uri == OFF:
        raise UserError("params.yaml: tracking.uri is off: no run is logged; null logs them here")
    if uri:
        say(f"params.yaml: tracking.uri: the runs are on {uri}; open that address")
        return
    if not DATABASE.exists():
        raise UserError(f"{DATABASE} is missing: no runs yet; `make repro` makes some")
    say(f"MLflow on http://127.0.0.1:{port}, for this machine only; Ctrl-C ends it")
    os.environ["MLFLOW_SERVER_ENABLE_JOB_EXECUTION"] = "false"  # starts in half the time and memory
    os.environ["MLFLOW_DISABLE_TELEMETRY"] = "true"
    store = f"sqlite:///{DATABASE}"
    command = ["mlflow", "ui", "--backend-store-uri", store, "--host", "127.0.0.1"]
    os.execv(shutil.which("mlflow") or "mlflow", [*command, "--port", str(port), "--workers", "1"])
