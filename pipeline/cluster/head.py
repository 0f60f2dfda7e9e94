"""`make cluster-head` and `make cluster-local`: the first node of a cluster."""

from contextlib import suppress
from typing import Annotated

import typer

from pipeline.base.console import interruptible, say
from pipeline.base.errors import UserError
from pipeline.base.paths import CACHE
from pipeline.cluster.node import PORT, PORTS, Slots, arguments, check_free, node, own_address, stay
from pipeline.cluster.token import make_token

USE = """Train on it, in another terminal:

  make try NAME=cluster SET="{settings}"

or write it into params.yaml. Ctrl-C here ends the cluster; what is finished is kept."""
JOIN = """Another machine joins from its own clone of this project, with a copy of {token}:

  make cluster-join HEAD={address} TOKEN=auth_token

Its firewall and this one's must let the cluster's machines reach TCP ports {ports}, and nobody
else: who has the token and reaches a port can run code here. Traffic is not encrypted: use a
private network or a VPN.
"""


def main(
    local: Annotated[bool, typer.Option("--local", help="For this machine alone.")] = False,
    ip: Annotated[str, typer.Option(help="This machine's address, if it has several.")] = "",
    slots: Slots = None,
) -> None:
    """Start a cluster's first node, here, until Ctrl-C."""
    check_free(PORT)
    token, here = make_token(), "127.0.0.1" if local else ip or own_address()
    address = f"{here}:{PORT}"
    own = ["--head", "--include-dashboard=false"]
    command = arguments(*own, f"--node-ip-address={here}", f"--port={PORT}", slots=slots)
    interruptible()
    with suppress(KeyboardInterrupt), node(command, token, CACHE / "ray-head.log") as process:
        settings = "compute.engine=ray" + ("" if local else f" compute.address={address}")
        say(f"The cluster's head runs at {address}, see `make cluster-status`.\n")
        if not local:
            say(JOIN.format(token=token, address=address, ports=PORTS))
        say(USE.format(settings=settings))
        stay(process)
        raise UserError("the cluster's head has ended by itself; start it again")
