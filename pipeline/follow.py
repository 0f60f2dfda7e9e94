"""Reads a stage's journal as it grows and sends it to MLflow; a process beside the stage's own."""

import contextlib
import os
import signal
import sys
import time
from collections.abc import Callable
from pathlib import Path

from filelock import FileLock, Timeout

from pipeline.console import warn
from pipeline.journal import DOWN, Entry, Journal, journals
from pipeline.mlflow_store import Store, permanent

LOOK_EVERY = 0.2  # seconds
TRY_AGAIN_AFTER = 15.0  # seconds after a server did not answer


class _Sender:
    """One journal on its way to its store."""

    def __init__(self, journal: Journal) -> None:
        self.journal = journal
        self.store: Store | None = None
        self.sent = journal.sent()
        self.size = -1
        self.entries: list[Entry] = []

    def read(self) -> None:
        size = self.journal.path.stat().st_size
        if size != self.size:
            self.size, self.entries = size, self.journal.entries()

    @property
    def closed(self) -> bool:
        return bool(self.entries) and self.entries[-1]["what"] == "close"

    def send(self) -> None:
        """Send what has not been sent.

        Raises:
            Exception: the server does not answer; the rest stays to be sent.
        """
        where = next((entry for entry in self.entries if entry["what"] == "open"), None)
        if where is None:
            return
        if self.store is None:
            self.store = Store(where["uri"], Path(where["database"]), where["experiment"])
        for entry in self.entries[self.sent :]:
            if entry["what"] not in ("open", "close"):
                try:
                    self.store.deliver(entry)
                except Exception as error:
                    if not permanent(error):
                        raise
                    warn(f"MLflow refused an entry ({entry['what']}): {_first_line(error)}")
            self.sent += 1
            self.journal.mark_sent(self.sent)
        DOWN.unlink(missing_ok=True)

    def end_open_runs(self) -> None:
        """End, as killed, the runs of a writer that died before it could."""
        opened: dict[str, None] = {}
        for entry in self.entries:
            if entry["what"] == "start":
                opened[entry["run"]] = None
            elif entry["what"] == "end":
                opened.pop(entry["run"], None)
        for own in reversed(opened):
            if self.store:
                self.store.end_killed(own)


def _first_line(error: Exception) -> str:
    return (str(error).splitlines() or [type(error).__name__])[0][:200]


def _told(error: Exception) -> None:
    """Warn once, until it is got over."""
    if not DOWN.exists():
        with contextlib.suppress(OSError):  # a full disk, it may be: then this is said again
            DOWN.parent.mkdir(parents=True, exist_ok=True)
            DOWN.write_text(_first_line(error))
        warn(
            f"MLflow cannot be reached, the work goes on: {_first_line(error)}; what is not sent "
            f"is kept: the next stage sends it, or `python -m pipeline.tracking --flush`"
        )


def _locked(journal: Journal, work: Callable[[], None]) -> None:
    """Do the work unless another process has this journal in hand."""
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
        if not sender.closed:
            sender.end_open_runs()
        journal.discard()

    _locked(journal, work)


def deliver_leftovers() -> None:
    """Send what processes that have ended left over; a server that does not answer is warned of."""
    try:
        for journal in journals():
            if not journal.writer_lives():
                _deliver_leftover(journal)
    except Exception as error:  # whatever a tracking server or its client comes up with
        _told(error)


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
                if sender.sent < len(sender.entries) and (
                    over or time.monotonic() - failed > TRY_AGAIN_AFTER
                ):
                    sender.send()
                if over:
                    sender.read()
                    if sender.sent < len(sender.entries):  # the stage has opened another run
                        continue
                    if not sender.closed:
                        sender.end_open_runs()
                    journal.discard()
                    return
            except Exception as error:  # whatever a tracking server or its client comes up with
                failed = time.monotonic()
                _told(error)
                if over:
                    left.touch()
                    return
            time.sleep(LOOK_EVERY)

    _locked(journal, work)


if __name__ == "__main__":
    # A terminal's Ctrl-C and a kill of the group are the stage's to answer; this one sends the end.
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.SIG_IGN)
    os.nice(5)  # the stage's own work comes first
    try:
        follow(Journal(Path(sys.argv[1])))
    except OSError as error:
        warn(f"tracking: nothing more is sent for now, the work goes on: {_first_line(error)}")
