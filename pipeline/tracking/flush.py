"""`python -m pipeline tracking`: what has not reached MLflow yet."""

from typing import Annotated

import typer

from pipeline.base.console import say
from pipeline.base.errors import UserError
from pipeline.tracking.journal import journals


def main(
    flush: Annotated[bool, typer.Option("--flush", help="Send it now.")] = False,
) -> None:
    """Count what has not reached MLflow yet; with --flush, send it."""
    if flush:
        from pipeline.tracking.sender import deliver_leftovers

        deliver_leftovers()
    left = [journal for journal in journals() if not journal.writer_lives()]
    count = sum(max(0, len(journal.entries()) - journal.sent()) for journal in left)
    if count and flush:
        raise UserError(f"{count} entries could not be sent; is the MLflow server up? Run it again")
    say(f"{count} entries to send" + "; --flush sends them" * bool(count))
