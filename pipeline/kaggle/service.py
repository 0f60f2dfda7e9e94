"""Calls of Kaggle's service through its own client, with time limits, retries and plain errors."""

import json
import re
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from pipeline.base.console import say
from pipeline.base.errors import UserError
from pipeline.base.settings import Settings

SITE = "https://www.kaggle.com"
COUNTS = ("CreateSubmission", "SaveKernel")
KERNEL_CALLS = {"push", "kernel_status", "kernel_output", "quota"}
LONGEST_WAIT = 300.0  # seconds; if the service asks for more, the user decides
NO_CREDENTIALS = (
    "no Kaggle credentials found: put a token in KAGGLE_API_TOKEN or ~/.kaggle/access_token, "
    "or kaggle.json in ~/.kaggle, or set KAGGLE_USERNAME and KAGGLE_KEY (kaggle.com, Settings); "
    "`competition: digit-recognizer` in params.yaml needs none"
)


class ServiceError(UserError):
    """A call that failed; `unclear` if a submission may have been made nevertheless."""

    def __init__(self, message: str, *, unclear: bool = False, after: float | None = None) -> None:
        super().__init__(message)
        self.unclear, self.after = unclear, after  # after: seconds until a retry makes sense


def pause(error: ServiceError, attempt: int) -> float:
    """Seconds to wait after the `attempt`th try: as Kaggle asks, and each time longer."""
    return max(error.after or 0.0, 2.0 ** (attempt - 1))


def call(
    settings: Settings,
    name: str,
    *arguments: str,
    repeat: bool = True,
    progress: Callable[[], int] = lambda: 0,
) -> Any:
    """Make one of the calls in `client.py`; try it again while that makes sense.

    Args:
        settings: whose `kaggle` section says how long to wait and how often to try.
        name: the call.
        arguments: its arguments.
        repeat: False for a call that must not, or need not, be made twice.
        progress: a number that rises while the call makes progress; the time limit is for silence.

    Raises:
        ServiceError: it failed, for good.
    """
    attempts = settings.kaggle.attempts if repeat else 1
    for attempt in range(1, attempts + 1):
        try:
            return _once(settings, name, arguments, progress)
        except ServiceError as error:
            if error.after is None or attempt == attempts:
                raise
            wait = pause(error, attempt)
            if wait > LONGEST_WAIT:
                raise
            say(f"{error}; trying again in {wait:.0f} s ({attempt + 1} of {attempts})")
            time.sleep(wait)
    raise AssertionError("unreachable")


def _once(
    settings: Settings, name: str, arguments: tuple[str, ...], progress: Callable[[], int]
) -> Any:
    limit = settings.kaggle.timeout
    with tempfile.TemporaryDirectory() as folder:
        out = Path(folder) / "answer.json"
        command = [sys.executable, "-m", "pipeline.kaggle.client", str(out), name, *arguments]
        with subprocess.Popen(
            command, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
        ) as child:
            try:
                _wait(child, limit, progress)
            except TimeoutError:
                raise ServiceError(
                    f"Kaggle has not answered for {limit:g} s ({name})", unclear=True, after=0
                ) from None
            finally:
                if child.poll() is None:
                    child.kill()
        if not out.exists():
            raise ServiceError(f"the Kaggle client ended without an answer ({name})", unclear=True)
        answer = json.loads(out.read_text())
    if "value" in answer:
        return answer["value"]
    raise _error(settings, name, answer)


def _wait(child: subprocess.Popen[bytes], limit: float, progress: Callable[[], int]) -> None:
    """Wait for the child; raise TimeoutError once nothing has moved for `limit` seconds."""
    reached, since = progress(), time.monotonic()
    while child.poll() is None:
        time.sleep(0.1)
        now = progress()
        if now != reached:
            reached, since = now, time.monotonic()
        elif time.monotonic() - since > limit:
            raise TimeoutError


def _error(settings: Settings, name: str, answer: dict[str, Any]) -> ServiceError:
    """A call's fault as an error: what happened, and what to do."""
    fault, reason = answer["fault"], _plain(answer["reason"])
    # Two of the methods make a submission, or start a run; before them, nothing has counted.
    unclear = answer.get("step", COUNTS[0]) in COUNTS
    match fault:
        case "credentials":
            return ServiceError(NO_CREDENTIALS)
        case "file":
            return ServiceError(f"Kaggle credentials: {answer['reason']}")
        case "config":
            return ServiceError(f"the Kaggle client cannot start: {reason}")
        case "network":
            return ServiceError(f"Kaggle cannot be reached ({reason})", unclear=unclear, after=0)
        case "answer":
            text = f"Kaggle's answer was not understood ({reason})"
            return ServiceError(text, unclear=unclear, after=0)
    code = answer.get("code", 401)  # without one, the client itself refused the token
    if code >= 500:
        return ServiceError(f"Kaggle has a fault ({code}, {name})", unclear=unclear, after=0)
    if name in KERNEL_CALLS and code in (403, 404):
        return ServiceError(
            f"Kaggle refuses ({code}, {reason}): running scripts on its GPUs needs an account with "
            f"a verified phone number ({SITE}/settings) and the competition's rules accepted"
        )
    return _refusal(str(settings.competition.slug), code, reason, answer.get("after", ""))


def _refusal(slug: str, code: int, reason: str, after: str) -> ServiceError:
    """What Kaggle refuses by its HTTP status."""
    match code:
        case 401:
            text = (
                "Kaggle refuses the credentials (401): expired or wrong; make a new token at "
                "kaggle.com, Settings, API"
            )
        case 403:
            text = (
                f"Kaggle refuses (403, {reason}): accept the competition's rules at "
                f"{SITE}/competitions/{slug}/rules, then run this again; a misspelt "
                f"slug in competitions/ gets the same answer"
            )
        case 404:
            text = f"Kaggle has no competition {slug!r} (404): see slug in competitions/"
        case 429:
            seconds = float(after) if re.fullmatch(r"\d+", after) else 1.0
            return ServiceError(f"Kaggle asks us to wait {seconds:.0f} s (429)", after=seconds)
        case _:
            text = f"Kaggle refuses ({code}): {reason}{notebooks_only(reason)}"
    return ServiceError(text)


def notebooks_only(reason: str) -> str:
    """What to do where Kaggle's refusal says that only notebooks may submit."""
    if not re.search(r"notebook|kernel", reason, re.IGNORECASE):
        return ""
    return "; it is a code competition: docs/submit.md says how to submit from a notebook"


def _plain(text: str) -> str:
    """One short line, without addresses: those may contain signatures."""
    return " ".join(re.sub(r"\S+://\S+", "...", text).split())[:200]
