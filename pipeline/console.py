"""What a command says to the person at the terminal: progress, warnings, one-line errors."""

from collections.abc import Callable
from functools import wraps
from typing import Any

import typer
from rich.console import Console
from rich.markup import escape

console = Console(highlight=False, soft_wrap=True)
error_console = Console(stderr=True, highlight=False, soft_wrap=True)


class UserError(Exception):
    """A fault its user can mend: the message says what is wrong, where, and what to do."""


def say(message: str) -> None:
    """Print a line; square brackets in it are text, not markup."""
    console.print(escape(message))


def warn(message: str) -> None:
    """Print a warning on stderr; the work goes on."""
    error_console.print(f"[yellow]warning:[/] {escape(message)}")


def run_command(function: Callable[..., Any]) -> None:
    """Run `function` as a command line; a `UserError` becomes one line and exit code 1."""

    @wraps(function)
    def guarded(*args: Any, **kwargs: Any) -> None:
        try:
            function(*args, **kwargs)
        except UserError as error:
            error_console.print(f"[red]error:[/] {escape(str(error))}")
            raise typer.Exit(1) from None
        except KeyboardInterrupt:
            error_console.print("interrupted; what was finished is kept: run it again to go on")
            raise typer.Exit(130) from None

    typer.run(guarded)


def duration(seconds: float) -> str:
    """`75.2` -> `'1:15'`, `3675` -> `'1:01:15'`."""
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"
