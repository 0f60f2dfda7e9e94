"""MLflow's server down, slow, dying, and back again: the training goes on, with the same files."""

import re
import subprocess
import sys
import threading
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from chaos import traces
from chaos.experiment import Experiment
from chaos.project import LIMIT, TARGETS, Project, last_line, require, write_params
from chaos.workshop import Workshop
from support.loopback import free_port

DATABASE = "experiments/server.db"
PATIENCE = 90.0  # seconds that a sick server may cost a stage beyond twice its own time

SICK = (
    ("down", "train"),
    ("slow", "train"),
    ("errors", "train"),
    ("cut", "train"),
    ("nonsense", "train"),
    ("down", "tune"),
    ("slow", "ensemble"),
)


def experiments() -> list[Experiment]:
    """Each sickness, in a training; and a server that dies in one, and comes back."""
    found = []
    for how, stage in SICK:
        about = {"stage": stage, "how": how}
        name = f"server-{how}-{stage}"
        found.append(Experiment("servers", name, partial(sick, how=how, stage=stage), about))
    return [*found, Experiment("servers", "server-back-train", back, {"how": "back"})]


class Sick(BaseHTTPRequestHandler):
    """Answers as its `how` says."""

    how = "errors"

    def log_message(self, *_: Any) -> None:
        """Say nothing."""

    def answer(self) -> None:
        """Answer wrong."""
        if self.how == "slow":
            time.sleep(60)
        if self.how == "cut":
            self.wfile.write(b"HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n{")
        elif self.how == "nonsense":
            self.wfile.write(b"HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\n<html>")
        else:
            self.wfile.write(b"HTTP/1.1 500 Broken\r\nContent-Length: 0\r\n\r\n")
        self.close_connection = True

    do_GET = do_POST = do_PUT = do_PATCH = do_DELETE = answer  # noqa: N815


@contextmanager
def server(how: str) -> Iterator[str]:
    """Serve, sick; the address."""
    if how == "down":
        yield f"http://127.0.0.1:{free_port()}"
        return
    http = ThreadingHTTPServer(("127.0.0.1", 0), type("Bound", (Sick,), {"how": how}))
    http.daemon_threads = True
    threading.Thread(target=http.serve_forever, daemon=True).start()
    try:
        yield f"http://127.0.0.1:{http.server_address[1]}"
    finally:
        http.shutdown()
        http.server_close()


def sick(shop: Workshop, how: str, stage: str) -> dict[str, Any]:
    """Run a stage whose server is sick."""
    with shop.project(stage) as project, server(how) as uri:
        write_params(project.path, tracking={"uri": uri})
        began = time.monotonic()
        printed = project.repro(TARGETS[stage])
        took = time.monotonic() - began
        limit = 2 * shop.seconds(stage) + PATIENCE
        require(took < limit, f"it took {took:.0f} s, {shop.seconds(stage):.0f} s undisturbed")
        project.settle(60)
        project.check_so_far()
        said = [line for line in printed.splitlines() if "MLflow" in line]
        require(said, "no line says so")
        require(len(said) <= 3, f"{len(said)} lines about it")
        require("Traceback" not in printed, f"a traceback: {last_line(printed)}")
        return {"took": round(took, 1), "said": said[0][:200]}


def start_mlflow(project: Project, port: int) -> subprocess.Popen[bytes]:
    """A real MLflow server, started and answering."""
    process = project.start(
        sys.executable, "-m", "mlflow", "server", "--backend-store-uri",
        f"sqlite:///{project.path / DATABASE}", "--artifacts-destination",
        str(project.path / "experiments/artifacts"), "--host", "127.0.0.1", "--port", str(port),
        "--workers", "1",
    )  # fmt: skip
    for _ in range(600):
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{port}/health", timeout=5):
                return process
        except OSError:
            time.sleep(0.2)
    raise AssertionError("MLflow's server did not start")


def stop(project: Project, port: int) -> None:
    """Kill a server and its workers, by id."""
    for each in project.processes():
        if str(port) in each.cmdline() or "uvicorn" in " ".join(each.cmdline()):
            each.kill()


def back(shop: Workshop) -> dict[str, Any]:
    """A real server dies in the middle of the training, and is there again for the next command."""
    with shop.project("train") as project:
        port = free_port()
        start_mlflow(project, port)
        write_params(project.path, tracking={"uri": f"http://127.0.0.1:{port}"})
        dvc = project.start("dvc", "repro", "train@tiny")
        while not re.search(r"fold 2  epoch +5/", project.printed()):
            require(dvc.poll() is None, last_line(project.printed()))
            time.sleep(0.05)
        stop(project, port)
        require(dvc.wait(LIMIT) == 0, last_line(project.printed()))
        project.check_so_far()
        start_mlflow(project, port)
        project.repro("ensemble")
        deadline = time.monotonic() + PATIENCE  # processes beside the stages' send what was kept
        wanted = {*traces.RUNS["train"], "ensemble"}
        while True:
            found = {name: status for name, status, _ in traces.runs(project.path, DATABASE)}
            if wanted <= set(found) and set(found.values()) == {"FINISHED"}:
                break
            require(time.monotonic() < deadline, f"MLflow, {PATIENCE:.0f} s later: {found}")
            time.sleep(0.5)
        stop(project, port)
        project.settle(60)
        project.check_so_far()
        return {}
