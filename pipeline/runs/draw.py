"""`make draw`: a page to draw a digit on, and what each member says; on this machine only."""

import io
import json
import sys
import webbrowser
from functools import partial
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Annotated, Any
from urllib.parse import urlsplit

import typer
from PIL import Image

from pipeline.base.console import interruptible, say
from pipeline.base.errors import UserError
from pipeline.base.paths import PARAMS
from pipeline.base.settings import load_settings
from pipeline.provenance.history import folder_of
from pipeline.report.gallery import as_png
from pipeline.runs.members import Networks, load_members
from pipeline.runs.pictures import FAULTS, fitted

PAGE = Path(__file__).with_name("draw.html")
LONGEST = 1 << 20  # bytes of a drawing
HOSTS = ("127.0.0.1", "localhost")


class Handler(BaseHTTPRequestHandler):
    """Serves the page, and labels a drawing that it sends as a PNG."""

    def __init__(self, networks: Networks, shape: tuple[int, int, int], *given: Any) -> None:
        self.networks, self.shape = networks, shape
        super().__init__(*given)

    def do_GET(self) -> None:
        """The page."""
        self._reply(200 if self.path == "/" else 404, "text/html", PAGE.read_bytes())

    def do_POST(self) -> None:
        """Each member's probabilities for the drawing, and the image that the networks see."""
        host = (self.headers.get("Host") or "").partition(":")[0]
        origin = self.headers.get("Origin") or "http://127.0.0.1"
        length = int(self.headers.get("Content-Length") or 0)
        mine = urlsplit(origin).hostname in HOSTS and host in HOSTS  # another site may not ask
        if not mine or not 0 < length <= LONGEST:
            self._reply(403, "text/plain", b"no")
            return
        try:
            with Image.open(io.BytesIO(self.rfile.read(length))) as drawing:
                image = fitted(drawing, self.shape)
        except FAULTS:
            self._reply(400, "text/plain", b"not a picture")
            return
        said = self.networks.probabilities(image[None])
        answer = {
            "seen": as_png(image),
            "said": {name: list(each[0]) for name, each in said.items()},
        }
        self._reply(200, "application/json", json.dumps(answer).encode())

    def _reply(self, status: int, kind: str, content: bytes) -> None:
        self.send_response(status)
        self.send_header("Content-Type", f"{kind}; charset=utf-8")
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    def log_message(self, *given: Any) -> None:
        """No line for each request."""


def main(
    port: Annotated[int, typer.Option(min=0, max=65535, help="Of 127.0.0.1.")] = 5000,
    name: Annotated[str, typer.Option(help="An experiment; else what is in place.")] = "",
    browser: Annotated[bool, typer.Option(help="Open the page.")] = sys.stdout.isatty(),
) -> None:
    """Serve a page to draw a digit on, until Ctrl-C."""
    folder = folder_of(name) if name else Path()
    shape = load_settings(folder / PARAMS).competition.image_shape
    if shape[2] != 1:
        raise UserError("a page to draw on is of use for grey images; `predict` labels pictures")
    handler = partial(Handler, Networks(load_members(folder)), shape)
    try:
        server = ThreadingHTTPServer(("127.0.0.1", port), handler)
    except OSError:
        raise UserError(
            f"port {port} is in use; choose another: `make draw PORT={port + 1}`"
        ) from None
    page = f"http://127.0.0.1:{server.server_port}/"
    interruptible()
    try:
        say(f"draw a digit, on this machine only, until Ctrl-C: {page}")
        sys.stdout.flush()
        if browser:
            webbrowser.open(page)
        server.serve_forever()
    except KeyboardInterrupt:
        server.server_close()
