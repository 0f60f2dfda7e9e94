"""The cluster's token: who has it may run code on every node."""

import os
import secrets
from pathlib import Path

from pipeline.base.console import say
from pipeline.base.errors import UserError


def token_path(given: Path | None = None) -> Path:
    """Where the token is: as given, as Ray's own variable says, or in the user's home."""
    if given:
        return given.expanduser().absolute()
    named = os.environ.get("RAY_AUTH_TOKEN_PATH")
    return Path(named) if named else Path.home() / ".ray" / "auth_token"


def make_token() -> Path:
    """The token of this machine's user, made if there is none, readable by the user alone."""
    path = token_path()
    if not path.exists():
        path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        opened = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(opened, "w") as file:
            file.write(secrets.token_hex(32))
    return private(path)


def private(path: Path) -> Path:
    """A token's file, which others may not read.

    Raises:
        UserError: it is missing or empty.
    """
    try:
        empty = not path.read_text().strip()
    except (OSError, ValueError) as error:
        raise UserError(
            f"{path}: no token ({error}); copy ~/.ray/auth_token of the cluster's head to this "
            "machine, then TOKEN=that file"
        ) from None
    if empty:
        raise UserError(f"{path} is empty; copy ~/.ray/auth_token of the cluster's head again")
    if path.stat().st_mode & 0o077:
        path.chmod(0o600)
        say(f"{path}: others could read it; now this user alone can")
    return path
