"""`make cluster-join`: this machine as a node of a cluster."""

import time
from contextlib import suppress
from pathlib import Path
from typing import Annotated

import typer

from pipeline.base.console import interruptible, say, warn
from pipeline.base.errors import UserError
from pipeline.base.paths import CACHE
from pipeline.cluster.node import Slots, arguments, node, own_address, stay
from pipeline.cluster.token import private, token_path
from pipeline.training.engines.address import check_reachable

AGAIN = 10.0  # seconds between attempts to join again


def main(
    head: Annotated[str, typer.Option(help="The head's address, as it prints it.")],
    token: Annotated[Path | None, typer.Option(help="A copy of the head's token file.")] = None,
    slots: Slots = None,
) -> None:
    """Join a cluster with this machine, until Ctrl-C; after a broken network again."""
    check_reachable(head)
    path = private(token_path(token))
    here = own_address(head.rpartition(":")[0])
    command = arguments(f"--address={head}", f"--node-ip-address={here}", slots=slots)
    interruptible()
    joined = False
    with suppress(KeyboardInterrupt):
        while True:
            try:
                with node(command, path, CACHE / "ray-join.log") as process:
                    say(f"{here} is a node of the cluster at {head}; Ctrl-C takes it out")
                    joined = True
                    stay(process)
            except UserError:
                if not joined:
                    raise
            warn(f"the head at {head} was lost; trying again every {AGAIN:.0f} s, Ctrl-C ends it")
            time.sleep(AGAIN)
