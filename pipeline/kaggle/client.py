"""One call of the real Kaggle client, in a process of its own: `python -m pipeline.kaggle.client`.

The client has no time limit, prints on stdout, exits where it should raise and takes any KAGGLE_
variable for configuration. So `service.py` calls it from outside, can end it, and gets the answer
in a file.
"""

import json
import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from pipeline.kaggle.credentials import secrets, token_files, wrong_file, wrong_token

CREDENTIALS = ("KAGGLE_API_TOKEN", "KAGGLE_USERNAME", "KAGGLE_KEY", "KAGGLE_CONFIG_DIR")
KEPT = (*CREDENTIALS, "KAGGLE_API_ENVIRONMENT")
PAGE = 200
OF_CREDENTIALS = ("credentials", "token", "config", "answer")  # faults that a file may be behind


def _plain(submission: Any) -> dict[str, Any]:
    return {
        "ref": int(submission.ref),
        "date": submission.date.isoformat() if submission.date else "",
        "description": submission.description or "",
        "file_name": submission.file_name or "",
        "status": submission.status.name,
        "public_score": submission.public_score or "",
        "private_score": submission.private_score or "",
        "error": submission.error_description or "",
    }


def whoami(api: Any) -> dict[str, str]:
    """Which kind of credentials the client found, and whose; never the secret itself."""
    method = str(api.get_config_value("auth_method") or "")
    return {"kind": method.rsplit(".", 1)[-1], "username": str(api.get_config_value("username"))}


def download(api: Any, slug: str, folder: str) -> None:
    """Fetch the competition's files, as a zip, into a folder."""
    api.competition_download_files(slug, path=folder, force=False, quiet=True)


def files(api: Any, slug: str) -> dict[str, Any]:
    """The names of the competition's files, and whether that is all of them.

    It is an error if its rules are not accepted.
    """
    listed = api.competition_list_files(slug, page_size=PAGE)
    names = [file.name for file in listed.files or []]
    return {"names": names, "all": not getattr(listed, "next_page_token", "")}


def submit(api: Any, slug: str, file: str, message: str) -> dict[str, Any]:
    """Upload a file and make it a submission; an answer without a `ref` means that it is none."""
    answer = api.competition_submit(file, message, slug, quiet=True)
    return {"ref": int(getattr(answer, "ref", 0) or 0), "message": str(answer.message or "")}


def submissions(api: Any, slug: str) -> list[dict[str, Any]]:
    """Our submissions, newest first."""
    listed = api.competition_submissions(slug, page_size=PAGE) or []
    return [_plain(each) for each in listed if each is not None]


def limits(api: Any, slug: str) -> dict[str, int]:
    """How many submissions were made today, and how many are left."""
    answer = api.competition_get_submission_limits(slug)
    return {"today": int(answer.num_today or 0), "left": int(answer.num_allowed_now or 0)}


def quota(api: Any) -> dict[str, float]:
    """The seconds on Kaggle's GPUs that were used this week, and how many there are."""
    gpu = api.quota_view().gpu_quota
    used, allowed = (getattr(gpu, name, None) for name in ("time_used", "total_time_allowed"))
    return {"used": _seconds(used), "allowed": _seconds(allowed)}


def _seconds(time: Any) -> float:
    return float(time.total_seconds()) if time is not None else 0.0


def push(api: Any, folder: str, accelerator: str, seconds: str) -> dict[str, Any]:
    """Run the script in a folder on Kaggle's machines; a refusal comes as an answer."""
    answer = api.kernels_push(folder, timeout=seconds, acc=accelerator)
    wrong = [*(answer.invalid_competition_sources or ())]
    return {"version": int(answer.version_number or 0), "error": answer.error or "", "wrong": wrong}


def kernel_status(api: Any, owner: str, slug: str) -> dict[str, str]:
    """How a script's last run is. Not by the client's own method, which hides the reason."""
    from kagglesdk.kernels.types.kernels_api_service import ApiGetKernelSessionStatusRequest

    request = ApiGetKernelSessionStatusRequest()
    request.user_name, request.kernel_slug = owner, slug
    with api.build_kaggle_client() as kaggle:
        answer = kaggle.kernels.kernels_api_client.get_kernel_session_status(request)
    return {"status": answer.status.name, "message": answer.failure_message or ""}


def kernel_output(api: Any, owner: str, slug: str) -> dict[str, Any]:
    """The files that a script's last run left, with their addresses, and what it printed.

    The client's own method writes whatever comes, under whatever name.
    """
    from kagglesdk.kernels.types.kernels_api_service import ApiListKernelSessionOutputRequest

    request = ApiListKernelSessionOutputRequest()
    request.user_name, request.kernel_slug, request.page_size = owner, slug, PAGE
    with api.build_kaggle_client() as kaggle:
        answer = kaggle.kernels.kernels_api_client.list_kernel_session_output(request)
    found = {file.file_name: file.url for file in answer.files or ()}
    return {"files": found, "log": answer.log or ""}


CALLS: dict[str, Callable[..., Any]] = {
    call.__name__: call
    for call in (
        *(whoami, download, files, submit, submissions, limits),
        *(quota, push, kernel_status, kernel_output),
    )
}


def _http_fault(error: Any) -> dict[str, Any]:
    """An error of the service: its code, which may come under HTTP 200, and how long to wait."""
    response = error.response
    if response is None:
        return {"fault": "network", "reason": "an error without an answer"}
    code = response.status_code
    try:
        told = response.json().get("code")
        code = told if isinstance(told, int) and told >= 400 else code
    except (ValueError, AttributeError):
        pass  # no JSON, or none that says
    return {
        "fault": "http",
        "code": code,
        "after": response.headers.get("Retry-After", ""),
        "reason": str(error),
    }


def _step(error: Any) -> str:
    """Which of the service's methods was called when this failed; empty if none was."""
    request = getattr(getattr(error, "response", None), "request", None)
    request = request or getattr(error, "request", None)
    return urlsplit(str(getattr(request, "url", ""))).path.rsplit("/", 1)[-1]


def _attempt(call: str, arguments: list[str]) -> dict[str, Any]:
    from requests import HTTPError, JSONDecodeError, RequestException

    try:
        from kaggle.api.kaggle_api_extended import KaggleApi

        api = KaggleApi()
        api.authenticate()
        return {"value": CALLS[call](api, *arguments)}
    except SystemExit:
        has_token = os.environ.get("KAGGLE_API_TOKEN") or any(
            path.is_file() for path in token_files()[:2]
        )
        return {"fault": "token" if has_token else "credentials", "reason": ""}
    except HTTPError as error:
        return _http_fault(error) | {"step": _step(error)}
    except JSONDecodeError as error:
        return {"fault": "answer", "reason": "not JSON", "step": _step(error)}
    except RequestException as error:
        return {"fault": "network", "reason": type(error).__name__, "step": _step(error)}
    except OSError as error:
        return {"fault": "config", "reason": error.strerror or type(error).__name__}
    except Exception as error:  # whatever the client raises for what it does not understand
        return {"fault": "answer", "reason": f"{type(error).__name__}: {error}"}


def answer(call: str, arguments: list[str]) -> dict[str, Any]:
    """Make the call; its answer, or the fault, as plain values without a secret in them."""
    for name in [key for key in os.environ if key.startswith("KAGGLE_")]:
        if name in KEPT:
            os.environ[name] = os.environ[name].strip()
        else:
            del os.environ[name]
    wrong = wrong_token()  # told before it is sent
    found = {"fault": "file", "reason": wrong} if wrong else _attempt(call, arguments)
    if found.get("fault") in OF_CREDENTIALS or found.get("code") == 401:
        wrong = wrong_file()
        found = {"fault": "file", "reason": wrong} if wrong else found
    for secret in secrets() if "reason" in found else ():
        found["reason"] = found["reason"].replace(secret, "...")
    return found


if __name__ == "__main__":
    out, call, *arguments = sys.argv[1:]
    Path(out).write_text(json.dumps(answer(call, arguments)))
