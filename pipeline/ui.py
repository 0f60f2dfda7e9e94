"""Opens the MLflow UI on the runs of this checkout, for this machine only."""

import os
import shutil
from typing import Annotated

import typer

from pipeline.config import OFF, load_settings
from pipeline.console import UserError, run_command, say
from pipeline.files import DATABASE


def main(
    port: Annotated[
        int, typer.Option(min=1, max=65535, help="Where on 127.0.0.1 to serve it.")
    ] = 5000,
) -> None:
    """Serve the MLflow UI on 127.0.0.1 until Ctrl-C."""
    uri = load_settings().tracking.uri
    if uri == OFF:
        raise UserError("params.yaml: tracking.uri: off: no run is tracked; null tracks them here")
    if uri:
        say(f"params.yaml: tracking.uri: the runs are on {uri}; open that")
        return
    if not DATABASE.exists():
        raise UserError(f"{DATABASE} is missing: no runs yet; `make repro` makes some")
    say(f"MLflow on http://127.0.0.1:{port}, for this machine only; Ctrl-C ends it")
    os.environ["MLFLOW_SERVER_ENABLE_JOB_EXECUTION"] = "false"  # half the time and memory to start
    os.environ["MLFLOW_DISABLE_TELEMETRY"] = "true"
    store = f"sqlite:///{DATABASE}"
    command = ["mlflow", "ui", "--backend-store-uri", store, "--host", "127.0.0.1"]
    os.execv(shutil.which("mlflow") or "mlflow", [*command, "--port", str(port), "--workers", "1"])


if __name__ == "__main__":
    run_command(main)
