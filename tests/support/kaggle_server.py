"""A stand-in for Kaggle's service on loopback, for the real client: answers, and faults on demand.

The client is pointed at it by KAGGLE_API_ENVIRONMENT=LOCALHOST and http_proxy, which need no patch:
it speaks to http://localhost through this server as its proxy.
"""

import base64
import io
import json
import os
import socket
import stat
import struct
import sys
import threading
import time
import zipfile
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

TOKEN = "planted-token-7f3a"  # noqa: S105
SLUG = "digit-recognizer"


@dataclass
class Kaggle:
    """The service's state. `faults` holds, by call, what the next calls do wrong, in turn."""

    files: dict[str, bytes]
    faults: dict[str, list[str]] = field(default_factory=dict)
    submissions: list[dict[str, Any]] = field(default_factory=list)
    uploads: dict[str, bytes] = field(default_factory=dict)
    calls: list[str] = field(default_factory=list)
    left: int = 5
    status: str = "COMPLETE"
    score: str = "0.99100"
    port: int = 0
    statuses: list[str] = field(default_factory=list)  # of a script's run, in turn; then COMPLETE
    scripts: list[dict[str, Any]] = field(default_factory=list)  # that were sent
    output: dict[str, bytes] = field(default_factory=dict)  # what a run leaves
    used: int = 3600  # seconds of GPU time, of 30 hours

    def zipped(self, fault: str) -> bytes:
        """The files as a zip, unsafe or damaged as the fault says."""
        packed = io.BytesIO()
        with zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED) as archive:
            for name, content in self.files.items():
                archive.writestr(name, content)
            if fault == "dotdot":
                archive.writestr("../escaped.txt", "x")
            if fault == "absolute":
                archive.writestr("/tmp/escaped.txt", "x")  # noqa: S108
            if fault == "link":
                link = zipfile.ZipInfo("link")
                link.external_attr = (stat.S_IFLNK | 0o777) << 16
                archive.writestr(link, "/etc/passwd")
            if fault == "bomb":
                archive.writestr("bomb", b"0" * 100)
        content = packed.getvalue()
        if fault == "bomb":  # it claims to hold 3.9 GiB of nothing, and then some, in the directory
            at = content.rindex(b"PK\x01\x02")
            content = content[: at + 24] + struct.pack("<I", 0xFFFFFFF0) + content[at + 28 :]
        if fault == "flip":
            middle = len(content) // 2
            content = content[:middle] + bytes([content[middle] ^ 1]) + content[middle + 1 :]
        return content

    def next_fault(self, call: str) -> str:
        self.calls.append(call)
        waiting = self.faults.get(call, [])
        if not waiting:
            return ""
        return waiting[0] if waiting[0].endswith("!") else waiting.pop(0)  # "!": from now on

    def environment(self, home: Path, token: str | None = TOKEN) -> dict[str, str]:
        """A user's environment in which the real client speaks to this server."""
        kept = {
            key: value for key, value in os.environ.items()
            if not key.startswith(("KAGGLE_", "DVC_")) and not key.lower().endswith("_proxy")
        }  # fmt: skip
        home.mkdir(exist_ok=True)
        own = {
            "HOME": str(home),
            "KAGGLE_CONFIG_DIR": str(home / ".kaggle"),
            "KAGGLE_API_ENVIRONMENT": "LOCALHOST",
            "http_proxy": f"http://127.0.0.1:{self.port}",
            "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}",
        }
        return kept | own | ({"KAGGLE_API_TOKEN": token} if token else {})


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    kaggle: Kaggle

    def log_message(self, *_: Any) -> None:
        pass

    def body(self) -> bytes:
        return self.rfile.read(int(self.headers.get("Content-Length") or 0))

    def reply(self, value: Any, code: int = 200, **headers: str) -> None:
        content = value if isinstance(value, bytes) else json.dumps(value).encode()
        self.send_response(code)
        headers.setdefault("Content_Type", "application/json")
        self.send_header("Content-Length", str(len(content)))
        for name, given in headers.items():
            self.send_header(name.replace("_", "-"), given)
        self.end_headers()
        self.wfile.write(content)

    def drop(self) -> None:
        """Close the connection, mid-sentence."""
        self.close_connection = True
        self.wfile.flush()
        self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.connection.close()

    def does_wrong(self, fault: str) -> bool:
        """Do what the fault says instead of answering; False if it is no such fault."""
        fault = fault.rstrip("!")
        if fault == "reset":
            self.drop()
        elif fault == "stall":
            time.sleep(30)
            self.drop()
        elif fault.startswith("200="):
            self.reply({"code": int(fault[4:]), "message": "no"}, 200)
        elif fault.split(":")[0].isdigit():
            code, _, after = fault.partition(":")
            more = {"Retry_After": after} if after else {}
            self.reply({"code": int(code), "message": f"no: {code}"}, int(code), **more)
        else:
            return False
        return True

    def do_POST(self) -> None:
        request = json.loads(self.body() or b"{}")
        call = urlsplit(self.path).path.rsplit("/", 1)[-1]
        fault = self.kaggle.next_fault(call)
        if self.does_wrong(fault):
            return
        basic = "Basic " + base64.b64encode(f"tester:{TOKEN}".encode()).decode()
        known = (f"Bearer {TOKEN}", basic)
        if call != "IntrospectToken" and self.headers.get("Authorization") not in known:
            self.reply({"code": 401, "message": "Unauthenticated"}, 401)
            return
        getattr(self, call)(request, fault)

    def IntrospectToken(self, request: Any, fault: str) -> None:  # noqa: N802
        good = request.get("token") == TOKEN
        self.reply({"active": True, "username": "tester"} if good else {"active": False})

    def DownloadDataFiles(self, request: Any, fault: str) -> None:  # noqa: N802
        if request["competitionName"] != SLUG:
            self.reply({"code": 404, "message": "Not found"}, 404)
            return
        self.reply(
            b"", 302, Location=f"http://localhost/files/{SLUG}.zip?Signature=planted-signature"
        )

    def ListDataFiles(self, request: Any, fault: str) -> None:  # noqa: N802
        self.reply(
            {
                "files": [
                    {"name": name, "totalBytes": len(content)}
                    for name, content in self.kaggle.files.items()
                ]
            }
        )

    def StartSubmissionUpload(self, request: Any, fault: str) -> None:  # noqa: N802
        token = f"blob{len(self.kaggle.uploads)}"
        self.reply({"token": token, "createUrl": f"http://localhost/upload/{token}"})

    def CreateSubmission(self, request: Any, fault: str) -> None:  # noqa: N802
        if self.kaggle.left < 1:
            self.reply({"code": 400, "message": "Submission limit reached"}, 400)
            return
        self.kaggle.left -= 1
        ref = 1001 + len(self.kaggle.submissions)
        self.kaggle.submissions.insert(0, {
            "ref": ref, "date": "2026-01-02T03:04:05.678Z", "fileName": "submission.csv",
            "description": request.get("submissionDescription", ""),
        })  # fmt: skip
        if fault == "lost":
            self.drop()
            return
        self.reply({"message": "Successfully submitted to Digit Recognizer", "ref": ref})

    def listed(self, submission: dict[str, Any]) -> dict[str, Any]:
        if self.kaggle.status == "PENDING":
            return submission | {"status": "PENDING"}
        if self.kaggle.status == "ERROR":
            return submission | {"status": "ERROR", "errorDescription": "Evaluation Exception"}
        return submission | {"status": "COMPLETE", "publicScore": self.kaggle.score}

    def ListSubmissions(self, request: Any, fault: str) -> None:  # noqa: N802
        self.reply({"submissions": [self.listed(each) for each in self.kaggle.submissions]})

    def GetSubmissionLimits(self, request: Any, fault: str) -> None:  # noqa: N802
        made = len(self.kaggle.submissions)
        self.reply({"numToday": made, "numTotal": made, "numAllowedNow": self.kaggle.left})

    def GetAcceleratorQuotaStatistics(self, request: Any, fault: str) -> None:  # noqa: N802
        quota = {"timeUsed": f"{self.kaggle.used}s", "totalTimeAllowed": "108000s"}
        self.reply({"gpuQuota": quota})

    def SaveKernel(self, request: Any, fault: str) -> None:  # noqa: N802
        self.kaggle.scripts.append(request)
        if fault == "lost":
            self.drop()
            return
        answer = {"ref": request["slug"], "versionNumber": len(self.kaggle.scripts)}
        if fault == "refused":
            answer["error"] = "Maximum batch GPU session count reached"
        if fault == "unknown":
            answer["invalidCompetitionSources"] = request["competitionDataSources"]
        self.reply(answer)

    def GetKernelSessionStatus(self, request: Any, fault: str) -> None:  # noqa: N802
        status = self.kaggle.statuses.pop(0) if self.kaggle.statuses else "COMPLETE"
        self.reply({"status": status, "failureMessage": "" if status == "COMPLETE" else "its cell"})

    def ListKernelSessionOutput(self, request: Any, fault: str) -> None:  # noqa: N802
        files = [
            {"url": f"http://localhost/output/{name}?Signature=planted-signature", "fileName": name}
            for name in self.kaggle.output
        ]
        log = json.dumps([{"stream_name": "stderr", "time": 1.0, "data": "no space left"}])
        self.reply({"files": files, "log": log})

    def send_output(self, name: str, fault: str) -> None:
        content = self.kaggle.output[name]
        if fault == "forbidden":
            self.reply(b"<Error>AccessDenied</Error>", 403)
        elif fault == "cut":
            self.send_response(200)
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            self.wfile.write(content[: len(content) // 2])
            self.drop()
        else:
            self.reply(content)

    def do_PUT(self) -> None:
        content = self.body()
        if not self.does_wrong(self.kaggle.next_fault("PUT")):
            self.kaggle.uploads[urlsplit(self.path).path.rsplit("/", 1)[-1]] = content
            self.reply(b"")

    def do_GET(self) -> None:
        fault = self.kaggle.next_fault("GET")
        if self.does_wrong(fault):
            return
        fault = fault.rstrip("!")
        path = urlsplit(self.path).path
        if path.startswith("/output/"):
            self.send_output(path.removeprefix("/output/"), fault)
            return
        if fault == "html":
            self.reply(b"<html>Sign in</html>", Content_Type="text/html")
            return
        content = self.kaggle.zipped(fault)
        first = int((self.headers.get("Range") or "bytes=0-").removeprefix("bytes=").split("-")[0])
        self.send_response(206 if first else 200)
        if first:
            self.send_header("Content-Range", f"bytes {first}-{len(content) - 1}/{len(content)}")
        self.send_header("Content-Type", "application/zip")
        self.send_header("ETag", '"1"')
        self.send_header("Last-Modified", "Fri, 02 Jan 2026 03:04:05 GMT")
        self.send_header("Accept-Ranges", "bytes")
        rest = content[first:]
        if fault == "half":
            self.send_header("Connection", "close")
        else:
            self.send_header("Content-Length", str(len(rest)))
        self.end_headers()
        half = len(rest) // 2
        self.wfile.write(rest[:half])
        if fault in ("cut", "half"):
            self.drop() if fault == "cut" else self.finish_early()
        elif fault == "stall-halfway":
            self.wfile.flush()
            time.sleep(30)
        else:
            self.wfile.write(rest[half:])

    def finish_early(self) -> None:
        self.wfile.flush()
        self.close_connection = True


class Server:
    """The service, running; a context manager."""

    def __init__(self, files: dict[str, bytes]) -> None:
        self.kaggle = Kaggle(files)
        handler = type("Bound", (Handler,), {"kaggle": self.kaggle})
        self.http = ThreadingHTTPServer(("127.0.0.1", 0), handler)
        self.http.daemon_threads = True
        self.kaggle.port = self.http.server_address[1]
        self.thread = threading.Thread(target=self.http.serve_forever, daemon=True)

    def __enter__(self) -> Kaggle:
        self.thread.start()
        return self.kaggle

    def __exit__(self, *_: object) -> None:
        self.http.shutdown()
        self.http.server_close()
