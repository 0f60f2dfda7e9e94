"""Reads a stage's journal as it grows and sends it to MLflow: a process beside the stage's own.

`python -m pipeline.tracking.sender JOURNAL`, started by `tracker.py`.
"""

import contextlib
import errno
import gc
import os
import signal
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from filelock import FileLock, Timeout

from pipeline.base.console import warn
from pipeline.base.errors import first_line
from pipeline.tracking import entries
from pipeline.tracking.journal import DOWN, Journal, journals

if TYPE_CHECKING:  # imported when there is something to send: it takes seconds
    from pipeline.tracking.mlflow_store import Store

LOOK_EVERY = 0.2  # seconds
FULL = (errno.ENOSPC, errno.EDQUOT)
TRY_AGAIN_AFTER = 15.0  # seconds after a server did not answer


class _Sender:
    """One journal on its way to its store."""

    def __init__(self, journal: Journal) -> None:
        self.journal = journal
        self.store: Store | None = None
        self.sent = journal.sent()
        self.size = -1
        self.entries: list[entries.Entry] = []

    def read(self) -> None:
        size = self.journal.path.stat().st_size
        if size != self.size:
            self.size, self.entries = size, self.journal.entries()

    @property
    def closed(self) -> bool:
        return bool(self.entries) and isinstance(self.entries[-1], entries.Close)

    def send(self) -> None:
        """Send what has not been sent.

        Raises:
            Exception: the server does not answer; the rest stays to be sent.
        """
        where = next((each for each in self.entries if isinstance(each, entries.Open)), None)
        if where is None:
            return
        if self.store is None:
            self.store = _open_store(where)
        for entry in self.entries[self.sent :]:
            try:
                if not isinstance(entry, entries.Open | entries.Close):
                    self.store.deliver(entry)
            except Exception as error:
                if not self.store.is_permanent(error):
                    raise
                warn(f"MLflow refused an entry ({type(entry).__name__}): {first_line(error)}")
            self.sent += 1
            self.journal.mark_sent(self.sent)
        DOWN.unlink(missing_ok=True)

    def finish(self) -> bool:
        """Remove the journal, its writer having finished; False if entries came meanwhile."""
        self.read()
        if not any(isinstance(each, entries.Open) for each in self.entries):
            self.journal.put_aside()  # another version wrote it, or a full disk cut it short
            return True
        if self.sent < len(self.entries):  # the stage has opened another run
            return False
        self.end_open_runs()
        self.journal.discard()
        return True

    def end_open_runs(self) -> None:
        """End, as killed, the runs that their writer left open: it died, or its work broke off."""
        opened: dict[str, None] = {}
        for entry in self.entries:
            if isinstance(entry, entries.Start):
                opened[entry.run] = None
            elif isinstance(entry, entries.End):
                opened.pop(entry.run, None)
        for own in reversed(opened):
            if self.store:
                self.store.end_killed(own)


def _open_store(where: entries.Open) -> "Store":
    # Importing MLflow makes objects that all stay: searching them for garbage takes a fifth of it.
    gc.disable()
    try:
        from pipeline.tracking.mlflow_store import Store

        return Store(where.uri, Path(where.database), where.experiment)
    finally:
        gc.enable()


def _warn_once(error: Exception) -> None:
    """Warn that the server does not answer, once until it does."""
    if not DOWN.exists():
        with contextlib.suppress(OSError):  # perhaps the disk is full: then this is said again
            DOWN.parent.mkdir(parents=True, exist_ok=True)
            DOWN.write_text(first_line(error))
        warn(
            f"{_told(error)}, the work continues: {first_line(error)}; what is not sent "
            f"is kept: the next stage sends it, or `python -m pipeline tracking --flush`"
        )


def _told(error: Exception) -> str:
    """What kind of trouble it is: one that waiting mends, or one that wants something done."""
    said = str(error)
    if "out-of-date database schema" in said:
        return (
            "MLflow's database is of another version of MLflow: move experiments/mlflow.db away, "
            "or run `mlflow db upgrade sqlite:///experiments/mlflow.db`"
        )
    if (isinstance(error, OSError) and error.errno in FULL) or "No space left" in said:
        return f"no room for MLflow's files: free some on the disk and in {tempfile.gettempdir()}"
    return "MLflow cannot be reached"


def _alone(journal: Journal, work: Callable[[], None]) -> None:
    """Do the work unless another process is sending this journal."""
    try:
        with FileLock(journal.path.with_suffix(".lock"), timeout=0):
            if journal.path.exists():
                work()
    except Timeout:
        return


def _deliver_leftover(journal: Journal) -> None:
    def work() -> None:
        sender = _Sender(journal)
        sender.read()
        sender.send()
        sender.finish()

    _alone(journal, work)


def deliver_leftovers() -> None:
    """Send what processes that have ended left over; warn if the server does not answer."""
    try:
        for journal in journals():
            if not journal.writer_lives():
                _deliver_leftover(journal)
    except Exception as error:  # whatever a tracking server or its client raises
        _warn_once(error)


def follow(journal: Journal) -> None:
    """Send a journal's entries as they come, until it is closed or its writer is dead."""
    left = journal.path.with_suffix(".left")
    left.unlink(missing_ok=True)
    deliver_leftovers()

    def work() -> None:
        sender, failed = _Sender(journal), -TRY_AGAIN_AFTER
        while True:
            alive = journal.writer_lives()  # first: what it wrote last is then read below
            sender.read()
            over = sender.closed or not alive
            try:
                due = over or time.monotonic() - failed > TRY_AGAIN_AFTER
                if due and sender.sent < len(sender.entries):
                    sender.send()
                if over and sender.finish():
                    return
            except Exception as error:  # whatever a tracking server or its client raises
                failed = time.monotonic()
                _warn_once(error)
                if over:
                    left.touch()
                    return
            time.sleep(LOOK_EVERY)

    _alone(journal, work)


if __name__ == "__main__":
    # Ctrl-C at the terminal and a kill of the group are for the stage; this process sends the end.
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.SIG_IGN)
    os.nice(5)  # the stage's own work comes first
    try:
        follow(Journal(Path(sys.argv[1])))
    except OSError as error:
        warn(f"tracking: nothing more is sent for now, the work continues: {first_line(error)}")
