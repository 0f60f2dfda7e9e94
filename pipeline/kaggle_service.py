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

from pipeline.config import Settings
from pipeline.console import UserError, say

SITE = "https://www.kaggle.com"
LONGEST_WAIT = 300.0  # seconds; a server that asks for more is told so to the user
NO_CREDENTIALS = (
    "no Kaggle credentials found: put a token into KAGGLE_API_TOKEN or ~/.kaggle/access_token, "
    "or kaggle.json into ~/.kaggle, or set KAGGLE_USERNAME and KAGGLE_KEY (kaggle.com, Settings); "
    "`competition.source: embedded` in params.yaml needs none"
)


class ServiceError(UserError):
    """A call that failed; `unclear` if a submission may have been made all the same."""

    def __init__(self, message: str, *, unclear: bool = False, after: float | None = None) -> None:
        super().__init__(message)
        self.unclear, self.after = unclear, after  # after: worth trying again in so many seconds


def pause(error: ServiceError, attempt: int) -> float:
    """Seconds to wait after the `attempt`th try: as long as Kaggle asks, and each time longer."""
    return max(error.after or 0.0, 2.0 ** (attempt - 1))


def call(
    settings: Settings,
    name: str,
    *arguments: str,
    repeat: bool = True,
    progress: Callable[[], int] = lambda: 0,
) -> Any:
    """Make one of `pipeline/kaggle_call.py`'s calls; try it again while that is worth it.

    Args:
        settings: whose `kaggle` section says how long to wait and how often to try.
        name: the call.
        arguments: its arguments.
        repeat: False for a call that must not be made twice, or is not worth it.
        progress: a number that rises while the call gets on; the time limit is for a standstill.

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
        command = [sys.executable, "-m", "pipeline.kaggle_call", str(out), name, *arguments]
        with subprocess.Popen(
            command, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
        ) as child:
            try:
                _wait(child, limit, progress)
            except TimeoutError:
                raise ServiceError(
                    f"Kaggle has been silent for {limit} s ({name})", unclear=True, after=0
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
    fault, said = answer["fault"], _plain(answer["said"])
    # Only one of the service's methods makes a submission; before it, nothing has counted.
    unclear = answer.get("step", "CreateSubmission") == "CreateSubmission"
    slug = settings.competition.slug
    if fault == "credentials":
        return ServiceError(NO_CREDENTIALS)
    if fault == "config":
        return ServiceError(f"the Kaggle client cannot start: {said}")
    if fault == "network":
        return ServiceError(f"Kaggle cannot be reached ({said})", unclear=unclear, after=0)
    if fault == "answer":
        return ServiceError(
            f"Kaggle's answer was not understood ({said})", unclear=unclear, after=0
        )
    code = answer.get("code", 401)
    if code == 401:  # or a token that the client itself found to be no good
        return ServiceError(
            "Kaggle refuses the credentials (401): expired or wrong; make a new token at "
            "kaggle.com, Settings, API"
        )
    if code == 403:
        return ServiceError(
            f"Kaggle refuses (403, {said}): accept the competition's rules at "
            f"{SITE}/competitions/{slug}/rules, then run this again"
        )
    if code == 404:
        return ServiceError(
            f"Kaggle has no competition {slug!r} (404): see competition.slug in params.yaml"
        )
    if code == 429:
        after = answer["after"]
        seconds = float(after) if re.fullmatch(r"\d+", after) else 1.0
        return ServiceError(f"Kaggle asks to wait {seconds:.0f} s (429)", after=seconds)
    if code >= 500:
        return ServiceError(f"Kaggle is in trouble ({code}, {name})", unclear=unclear, after=0)
    return ServiceError(f"Kaggle refuses ({code}): {said}")


def _plain(text: str) -> str:
    """One short line, without addresses: those may carry signatures."""
    return " ".join(re.sub(r"\S+://\S+", "...", text).split())[:200]
