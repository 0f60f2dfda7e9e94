"""What a command says to the person at the terminal: progress, warnings, one-line errors."""

import errno
import io
import os
import sys
from collections.abc import Callable
from typing import Any

import typer
from rich.console import Console
from rich.markup import escape
from typer.exceptions import TyperException

if not os.environ.get("COLUMNS", "").strip("0"):
    os.environ.pop("COLUMNS", None)  # some runners say 0, at which rich prints nothing at all
# A letter that the terminal's encoding lacks is spelled out; it must not stop the work.
for _stream in (sys.stdout, sys.stderr):
    if isinstance(_stream, io.TextIOWrapper):
        _stream.reconfigure(errors="backslashreplace")
console = Console(highlight=False, soft_wrap=True)
error_console = Console(stderr=True, highlight=False, soft_wrap=True)


class UserError(Exception):
    """A fault its user can mend: the message says what is wrong, where, and what to do.

    One line, whatever values and names from files it quotes.
    """

    def __init__(self, message: str) -> None:
        super().__init__(one_line(message))


def one_line(text: str) -> str:
    """`text` on one line: white space as single spaces, control characters as `\\x1b`."""
    return "".join(
        letter if letter.isprintable() else letter.encode("unicode_escape").decode()
        for letter in " ".join(text.split())
    )


def quoted(value: object) -> str:
    """A value from a file as a message quotes it, cut short."""
    if isinstance(value, str) and len(value) > 40:
        return repr(value[:40] + "...")
    text = repr(value)
    return text if len(text) <= 40 else text[:40] + "..."


def say(message: str) -> None:
    """Print a line; square brackets in it are text, not markup."""
    console.print(escape(message))


def warn(message: str) -> None:
    """Print a warning on stderr; the work goes on."""
    error_console.print(f"[yellow]warning:[/] {escape(message)}")


# What to do about a fault of the operating system's.
_ADVICE = {
    errno.ENOSPC: "make room and run it again",
    errno.EDQUOT: "make room and run it again",
    errno.EFBIG: "make room and run it again",
    errno.EROFS: "make it writable and run it again",
    errno.EACCES: "give this user the right to it and run it again",
    errno.EPERM: "give this user the right to it and run it again",
    None: "is the disk full?",  # NumPy's, of a write cut short
}


def _of_system(error: OSError) -> str:
    """A fault of the operating system's as what is wrong, where, and what to do."""
    place = error.filename2 or error.filename
    said = error.strerror or str(error) or type(error).__name__
    advice = _ADVICE.get(error.errno, "put that right and run it again")
    return f"{said}; {advice}" if place is None else f"{place}: {said}; {advice}"


def run_command(function: Callable[..., Any]) -> None:
    """Run `function` as a command line; a mistake of the user's is one line and exit code 1.

    So are wrong arguments, and what the operating system refuses: a full disk, no permission.
    """
    app = typer.Typer(add_completion=False)
    app.command()(function)
    try:
        raise SystemExit(app(standalone_mode=False) or 0)
    except UserError as error:
        said = str(error)
    except TyperException as error:
        said = one_line(f"{error.format_message().rstrip('.')}; --help says what it takes")
    except OSError as error:
        said = one_line(_of_system(error))
    except MemoryError:
        said = "not enough memory; free some and run it again: what was finished is kept"
    except KeyboardInterrupt:
        error_console.print("interrupted; what was finished is kept: run it again to go on")
        raise SystemExit(130) from None
    error_console.print(f"[red]error:[/] {escape(said)}")
    raise SystemExit(1)


def duration(seconds: float) -> str:
    """`75.2` -> `'1:15'`, `3675` -> `'1:01:15'`."""
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"
