"""Step 7: submissions/submission.csv sent once, and a row in the ledger: its code and its score."""

import os
import secrets
import sys
from dataclasses import asdict, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated

import pandas as pd
import typer
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from pipeline.base.console import console, say, warn
from pipeline.base.digests import sha256_file, sha256_json
from pipeline.base.errors import UserError
from pipeline.base.paths import ROOT, SUBMISSION, shown
from pipeline.base.settings import Settings, load_settings
from pipeline.data.arrays import known_classes
from pipeline.data.leaderboard import leaderboard_accuracy
from pipeline.data.results import Scores
from pipeline.data.submission_file import check_submission, load_template, read_labels
from pipeline.evaluation.metrics import METRICS
from pipeline.kaggle.ledger import (
    COLUMNS,
    COMPLETE,
    ERROR,
    LEDGER,
    SENDING,
    UNCLEAR,
    Row,
    as_table,
    ledger_locked,
    number,
    put,
    read_ledger,
    write_ledger,
)
from pipeline.kaggle.refusals import Refusal, refusals
from pipeline.kaggle.service import ServiceError
from pipeline.kaggle.submissions import (
    LOCAL,
    destination,
    left_today,
    listed,
    send,
    synced,
    wait_for_score,
)
from pipeline.provenance.history import folder_of, keep_revision
from pipeline.provenance.snapshot import need_git

CODE_ONLY = (
    "{} is a code competition: it takes submissions from Kaggle notebooks alone; docs/submit.md, "
    "Code competitions, says how to submit from one"
)
PICTURE = ROOT / "experiments/ledger.png"


def describe_file(settings: Settings, message: str) -> Row:
    """A row for the file at hand: where it came from, and its CV score."""
    classes = list(known_classes())
    check_submission(SUBMISSION, load_template(), settings.competition, classes)
    if settings.competition.code_competition:
        raise UserError(CODE_ONLY.format(settings.competition.slug))
    # Imported here: they take seconds, and a bad file is refused before.
    from pipeline.provenance.dvc import made_by_this_project
    from pipeline.tracking.submissions import find_submission

    digest, scores = sha256_file(SUBMISSION), Scores.read()
    return Row(
        time=datetime.now(UTC).isoformat(timespec="milliseconds"),
        sha256=digest,
        revision=keep_revision(f"the submission {digest[:12]}"),
        dirty=str(not made_by_this_project(SUBMISSION)).lower(),
        params_sha256=sha256_json(settings.model_dump(mode="json")),
        run_id=find_submission(settings, digest) or "",
        cv=str(scores.cv),
        cv_low=str(scores.low),
        cv_high=str(scores.high),
        metric=scores.metric,
        destination=destination(settings),
        message=f"{' '.join(message.split())} [{secrets.token_hex(6)}]".strip(),
    )


def show(settings: Settings, row: Row, rows: list[Row]) -> None:
    """Show what is about to be sent, and what was sent last."""
    table = Table(show_header=False, box=None)
    table.add_row("file", f"{SUBMISSION}, sha256 {row.sha256[:12]}...")
    low, high = float(row.cv_low), float(row.cv_high)
    cv = f"{METRICS[row.metric].title} {float(row.cv):.5f}"
    table.add_row("CV", f"{cv} (95% interval {low:.5f} to {high:.5f})")
    table.add_row("code", f"git show {row.revision[:10]}")
    mine = [old for old in rows if old.destination == row.destination and old.public_score]
    if mine:
        last = mine[-1]
        table.add_row("last sent", f"public score {last.public_score}, {last.time[:16]}")
    table.add_row("to", row.destination)
    if row.destination != LOCAL:
        table.add_row("left today", str(left_today(settings)))
    table.add_row("message", escape(row.message))
    console.print(table)


def send_row(settings: Settings, row: Row, wait: float) -> Row:
    """Send the file, and wait for its score; the ledger is written at each step."""
    if row.destination == LOCAL:
        labels = read_labels(SUBMISSION, list(known_classes()))
        score = f"{leaderboard_accuracy(labels, settings.competition):.5f}"
        reference = f"local-{sum(old.destination == LOCAL for old in read_ledger())}"
        row = replace(row, reference=reference, status=COMPLETE, public_score=score)
        put(row)
        return row
    try:
        row = send(settings, row)
    except ServiceError as error:
        put(replace(row, status=UNCLEAR if error.unclear else ERROR))
        raise
    put(row)
    say(f"sent: reference {row.reference}; waiting up to {wait:.0f} s for its score ...")
    try:
        row, reason = wait_for_score(settings, row, wait)
    except ServiceError as error:
        warn(f"{error}; the submission counts, `make sync` gets its score")
        return row
    put(row)
    if row.status == ERROR:
        raise UserError(
            f"Kaggle could not score submission {row.reference}: {reason or 'no reason given'}"
        )
    return row


def draw(rows: list[Row]) -> None:
    """Draw the ledger as a picture."""
    from pipeline.evaluation import plots

    table = pd.DataFrame([asdict(row) for row in rows], columns=COLUMNS)
    scores = ["cv", "cv_low", "cv_high", "public_score"]
    table[scores] = table[scores].apply(pd.to_numeric, errors="coerce")
    plots.sent(table, PICTURE)


def note(settings: Settings, rows: list[Row]) -> None:
    """Draw the ledger; write scores to the MLflow runs of the files they are of."""
    from pipeline.tracking.submissions import add_to_run, find_submission

    draw(read_ledger())
    for row in rows:
        score = number(row.public_score)
        if row.sha256 and score is not None:
            tags = {"submission_reference": row.reference, "submission_status": row.status}
            run_id = find_submission(settings, row.sha256)
            add_to_run(run_id, {"public_score": score}, tags, PICTURE)


def submit(
    settings: Settings, message: str, dry_run: bool, force: list[Refusal], wait: float
) -> None:
    """Check, show, send, wait."""
    row = describe_file(settings, message)
    need_git()
    show(settings, row, read_ledger())
    with ledger_locked():  # between this look at the ledger and the row in it, no other may send
        rows = read_ledger()
        against = {
            name: why for name, why in refusals(settings, row, rows).items() if name not in force
        }
        if against:
            names = " ".join([*force, *against])
            names = f"'{names}'" if " " in names else names
            why = "; ".join(against.values())
            raise UserError(f"not sent: {why}. To send it all the same: FORCE={names}")
        if dry_run:
            say("not sent: --dry-run")
            return
        write_ledger([*rows, replace(row, status=SENDING)])
    row = send_row(settings, row, wait)
    note(settings, [row])
    if row.status == COMPLETE:
        gap = float(row.public_score) - float(row.cv)
        place = shown(LEDGER)
        say(f"public score {row.public_score}, {gap:+.5f} from CV; noted in {place}: commit it")
    else:
        say(f"no score yet; `make sync` gets it later ({shown(LEDGER)} has the row)")


def print_ledger(rows: list[Row]) -> None:
    """The ledger as a table, as wide as it must be."""
    if rows:
        Console(highlight=False, width=max(console.width, 140)).print(as_table(rows))
    else:
        say("nothing has been sent yet; `make submit` sends")


def sync(settings: Settings) -> None:
    """Bring the ledger up to date with Kaggle."""
    if settings.competition.embedded:
        raise UserError("--sync asks Kaggle; the competition of params.yaml is the embedded one")
    found = listed(settings)
    with ledger_locked():
        rows = synced(read_ledger(), found, destination(settings), settings.competition.metric)
        write_ledger(rows)
    note(settings, rows)
    print_ledger(rows)


def in_folder_of(name: str) -> None:
    """Become the same command in an experiment's folder, where its code and files are.

    Raises:
        UserError: there is no such folder.
    """
    need_git()
    arguments = [*sys.argv[1:], "--name", ""]  # the last one counts
    given = {"PIPELINE_ROOT": str(Path.cwd()), "PIPELINE_EXPERIMENT": name}
    os.chdir(folder_of(name))
    os.execve(sys.executable, [sys.executable, "-m", "pipeline", *arguments], os.environ | given)


def main(
    message: Annotated[str, typer.Option("--message", "-m", help="What is new in this file.")] = "",
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Show it, but send nothing.")] = False,
    force: Annotated[
        list[Refusal] | None, typer.Option(help="Send it nevertheless; once for each reason.")
    ] = None,
    wait: Annotated[int, typer.Option(min=0, help="Seconds to wait for the score.")] = 300,
    get_scores: Annotated[
        bool, typer.Option("--sync", help="Send nothing; get scores and submissions from Kaggle.")
    ] = False,
    show_ledger: Annotated[
        bool, typer.Option("--ledger", help="Send nothing; print the ledger, best first.")
    ] = False,
    name: Annotated[str, typer.Option(help="The file of an experiment of `make try`.")] = "",
) -> None:
    """Send submissions/submission.csv to Kaggle, or to the local leaderboard."""
    if name:
        in_folder_of(name)
    if show_ledger:
        print_ledger(read_ledger())
        return
    settings = load_settings()
    if get_scores:
        sync(settings)
        return
    submit(settings, message, dry_run, force or [], wait)
