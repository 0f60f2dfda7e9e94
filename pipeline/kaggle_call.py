"""One call of the real Kaggle client, in a process of its own: `python -m pipeline.kaggle_call`.

The client has no time limit, prints on stdout, exits where it should raise and takes any KAGGLE_
variable for configuration; so it is called from outside, by `pipeline/kaggle_service.py`, which can
end it, and answers in a file.
"""

import json
import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

CREDENTIALS = ("KAGGLE_API_TOKEN", "KAGGLE_USERNAME", "KAGGLE_KEY", "KAGGLE_CONFIG_DIR")
KEPT = (*CREDENTIALS, "KAGGLE_API_ENVIRONMENT")
PAGE = 200


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
    """Which kind of credentials the client found, and whose; never what they are."""
    method = str(api.get_config_value("auth_method") or "")
    return {"kind": method.rsplit(".", 1)[-1], "username": str(api.get_config_value("username"))}


def download(api: Any, slug: str, folder: str) -> None:
    """Fetch the competition's files, as a zip, into a folder."""
    api.competition_download_files(slug, path=folder, force=False, quiet=True)


def files(api: Any, slug: str) -> list[str]:
    """The names of the competition's files; an error if its rules are not accepted."""
    listed = api.competition_list_files(slug)
    return [file.name for file in listed.files or []]


def submit(api: Any, slug: str, file: str, message: str) -> dict[str, Any]:
    """Upload a file and make it a submission; without a `ref` in the answer it is none."""
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


CALLS: dict[str, Callable[..., Any]] = {
    call.__name__: call for call in (whoami, download, files, submit, submissions, limits)
}


def answer(call: str, arguments: list[str]) -> dict[str, Any]:
    """Make the call; an answer, or what went wrong, as plain values."""
    for name in [key for key in os.environ if key.startswith("KAGGLE_") and key not in KEPT]:
        del os.environ[name]
    try:
        from kaggle.api.kaggle_api_extended import KaggleApi

        api = KaggleApi()
        api.authenticate()
    except SystemExit:
        return {"fault": "credentials", "said": ""}
    except OSError as error:
        return {"fault": "config", "said": f"{error.filename}: {error.strerror}"}
    except ValueError as error:
        return {"fault": "config", "said": str(error)}
    from requests import HTTPError, JSONDecodeError, RequestException

    try:
        return {"value": CALLS[call](api, *arguments)}
    except HTTPError as error:
        response = error.response
        code = response.status_code if response is not None else 0
        after = response.headers.get("Retry-After", "") if response is not None else ""
        return {"fault": "http", "code": code, "after": after, "said": str(error)}
    except JSONDecodeError:
        return {"fault": "answer", "said": "not JSON"}
    except (RequestException, OSError) as error:
        return {"fault": "network", "said": type(error).__name__}
    except SystemExit:
        return {"fault": "credentials", "said": ""}
    except Exception as error:  # whatever the client raises for an answer it does not understand
        return {"fault": "answer", "said": f"{type(error).__name__}: {error}"}


if __name__ == "__main__":
    out, call, *arguments = sys.argv[1:]
    Path(out).write_text(json.dumps(answer(call, arguments)))
