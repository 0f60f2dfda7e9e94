"""Why a submission file is not sent unless the user insists."""

from enum import StrEnum

from pipeline.base.settings import Settings
from pipeline.kaggle.ledger import ERROR, Row, number


class Refusal(StrEnum):
    """A reason, by the name that `make submit FORCE=...` takes to send the file nevertheless."""

    SENT = "sent"
    OUT_OF_DATE = "out-of-date"
    QUICK = "quick"
    SLICE = "slice"
    LOWER_CV = "lower-cv"


def best_sent(rows: list[Row], destination: str) -> float:
    """The best CV of the files that were sent there; 0 if none was."""
    known = [row for row in rows if row.destination == destination]
    scores = [number(row.cv_accuracy) for row in known if row.status not in ("", ERROR)]
    return max((score for score in scores if score is not None), default=0.0)


def refusals(settings: Settings, row: Row, rows: list[Row]) -> dict[Refusal, str]:
    """The reasons not to send this file."""
    found = {}
    if settings.scope:
        which = Refusal.SLICE if settings.preprocess.rows else Refusal.QUICK
        found[which] = f"it is of a {settings.scope}: `make repro` makes a better one"
    sent = [
        old for old in rows if old.destination == row.destination and old.status not in ("", ERROR)
    ]
    twice = [old for old in sent if old.sha256 == row.sha256]
    if twice:
        found[Refusal.SENT] = f"this very file was sent on {twice[-1].time[:16]}"
    if row.dirty == "true":
        found[Refusal.OUT_OF_DATE] = (
            "code or settings have changed since the file was made; `make repro` makes it again"
        )
    cv, best = float(row.cv_accuracy), best_sent(rows, row.destination)
    if cv < best:
        found[Refusal.LOWER_CV] = f"its CV {cv:.5f} is below the best sent, {best:.5f}"
    return found
