"""What a command says at the terminal: lines, warnings, and errors of one line."""

import errno
import io
import os
import shutil
import signal
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.markup import escape
from typer.exceptions import TyperException

from pipeline.base.errors import UserError, one_line

# What to do about a fault of the operating system.
ADVICE = {
    errno.ENOSPC: "free some space and run the command again",
    errno.EDQUOT: "free some space and run the command again",
    errno.EFBIG: "free some space and run the command again",
    errno.EROFS: "make it writable and run the command again",
    errno.EACCES: "give this user access and run the command again",
    errno.EPERM: "give this user access and run the command again",
    None: "is the disk full?",  # NumPy gives no number for a write that was cut short
}


def _columns() -> int | None:
    """None: rich finds the width. Some runners set COLUMNS=0, at which rich prints nothing."""
    given = os.environ.get("COLUMNS", "")
    zero = given and not given.strip("0")
    return shutil.get_terminal_size().columns if zero else None


console = Console(highlight=False, soft_wrap=True, width=_columns())
error_console = Console(stderr=True, highlight=False, soft_wrap=True, width=_columns())


def say(message: str) -> None:
    """Print a line; square brackets in it are text, not markup."""
    console.print(escape(message))


def warn(message: str) -> None:
    """Print a warning on stderr; the work continues."""
    error_console.print(f"[yellow]warning:[/] {escape(message)}")


def stderr_into(log: Path) -> None:
    """Let libraries that print to stderr do so into a file; warnings and errors are still seen."""
    error_console.file = os.fdopen(os.dup(2), "w", buffering=1)
    log.parent.mkdir(parents=True, exist_ok=True)
    os.dup2(os.open(log, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), 2)


def _explained(error: OSError) -> str:
    """A fault of the operating system: where, what, and what to do."""
    place = error.filename2 or error.filename
    reason = error.strerror or str(error) or type(error).__name__
    advice = ADVICE.get(error.errno, "fix that and run the command again")
    return f"{reason}; {advice}" if place is None else f"{place}: {reason}; {advice}"


def exit_code_of(command: Callable[[], Any]) -> int:
    """Run a command; a user's mistake is printed as one line and gives exit code 1.

    The same holds for wrong arguments, and for what the operating system refuses, such as a write
    to a full disk. Ctrl-C gives 130.
    """
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            # A letter that the terminal's encoding lacks is spelled out instead of ending the work.
            stream.reconfigure(errors="backslashreplace")
    try:
        return int(command() or 0)
    except UserError as error:
        message = str(error)
    except TyperException as error:
        message = one_line(f"{error.format_message().rstrip('.')}; --help lists what it takes")
    except OSError as error:
        message = one_line(_explained(error))
    except MemoryError:
        message = "not enough memory; free some and run the command again: finished work is kept"
    except KeyboardInterrupt:
        error_console.print("interrupted; finished work is kept: run the command again to continue")
        return 130
    error_console.print(f"[red]error:[/] {escape(message)}")
    return 1


def interruptible() -> None:
    """Let SIGTERM, and a closed terminal, end a command that serves as Ctrl-C does.

    Also where the caller ignored them.
    """
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.default_int_handler)


def duration(seconds: float) -> str:
    """`75.2` -> `'1:15'`, `3675` -> `'1:01:15'`."""
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"
