"""Errors a user can fix, and how their messages quote values."""

from collections.abc import Iterable
from difflib import get_close_matches


class UserError(Exception):
    """A fault the user can fix: the message says what is wrong, where, and what to do.

    The message is one line, whatever values and names from files it quotes.
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
    """A value from a file as a message quotes it: at most 40 characters."""
    if isinstance(value, str) and len(value) > 40:
        return repr(value[:40] + "...")
    text = repr(value)
    return text if len(text) <= 40 else text[:40] + "..."


def first_line(error: BaseException) -> str:
    """The first line of an exception's message, or its type; at most 200 characters."""
    return (str(error).splitlines() or [type(error).__name__])[0][:200]


def did_you_mean(name: str, known: Iterable[str], otherwise: str) -> str:
    """A hint for a misspelt name: the closest known one, or `otherwise`."""
    names = list(known)
    close = [each for each in names if each.lower() == name.lower()]  # `adam` is Adam
    close += get_close_matches(name, names, n=1)
    return f"did you mean {close[0]}?" if close else otherwise
