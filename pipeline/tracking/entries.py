"""What a journal holds: one entry a thing to be logged, each kind a class."""

import json
import time
from dataclasses import asdict, dataclass, field
from typing import Any


@dataclass(frozen=True, kw_only=True)
class Entry:
    """One thing to be logged, about the run `run`, which is our own name for it."""

    run: str
    time: int = field(default_factory=lambda: int(time.time() * 1000))  # ms since 1970, UTC
    files: dict[str, str] = field(default_factory=dict)  # copies it refers to, see `journal.keep`


@dataclass(frozen=True, kw_only=True)
class Open(Entry):
    """The journal begins, or continues: where its entries go."""

    run: str = ""
    uri: str | None  # None: the database
    experiment: str
    database: str


@dataclass(frozen=True, kw_only=True)
class Close(Entry):
    """Nothing more will come, for now."""

    run: str = ""


@dataclass(frozen=True, kw_only=True)
class Start(Entry):
    """A run begins, or a stage's run continues after a kill."""

    name: str  # what the MLflow UI calls it
    parent: str | None  # our name of the run it belongs under
    child: bool  # of a stage, such as a fold: logged again from its start after a kill
    params: dict[str, Any]
    tags: dict[str, str]


@dataclass(frozen=True, kw_only=True)
class End(Entry):
    """A run ends."""

    status: str  # MLflow's: FINISHED, FAILED or KILLED


@dataclass(frozen=True, kw_only=True)
class Metrics(Entry):
    """Numbers: name, value, step."""

    metrics: list[tuple[str, float, int]]


@dataclass(frozen=True, kw_only=True)
class DataUsed(Entry):
    """An MLflow dataset."""

    name: str
    digest: str
    rows: int
    use: str  # training or test


@dataclass(frozen=True, kw_only=True)
class File(Entry):
    """An artifact; `files` has its copy as `file`."""

    name: str


@dataclass(frozen=True, kw_only=True)
class LoggedModel(Entry):
    """Networks as one model; `files` has them by the names that the plan gives them."""

    name: str  # what MLflow calls it
    plan: dict[str, Any]  # see `model_plan`
    rows_sha256: str | None = None  # of the rows that judge it; None: not for the registry


@dataclass(frozen=True, kw_only=True)
class Link(Entry):
    """A stage that DVC skipped: the run that made its outputs is shown here too."""

    name: str
    key: str


KINDS: dict[str, type[Entry]] = {
    kind.__name__: kind
    for kind in (Open, Close, Start, End, Metrics, DataUsed, File, LoggedModel, Link)
}


def to_line(entry: Entry) -> str:
    """An entry as one line of text."""
    return json.dumps({"kind": type(entry).__name__} | asdict(entry)) + "\n"


def from_line(line: str) -> Entry | None:
    """The entry of a line; None if a kill cut the line short, or another version wrote it."""
    try:
        fields = json.loads(line)
        return KINDS[fields.pop("kind")](**fields)
    except (ValueError, KeyError, TypeError, AttributeError):
        return None
