"""Where a cluster's head listens."""

import socket
from importlib.util import find_spec

from pipeline.base.errors import UserError, quoted

DEFAULT = "127.0.0.1:6379"  # the head on this machine
ANSWER = 5.0  # seconds that the head's machine has to take a connection


def check_reachable(address: str) -> None:
    """Look for Ray, and for something that listens at the address.

    Raises:
        UserError: there is nothing, and what to do.
    """
    if find_spec("ray") is None:
        raise UserError(
            "compute.engine: ray needs Ray; `make cluster-local` installs and starts it"
        )
    host, colon, port = address.rpartition(":")
    if not colon or not port.isdecimal():
        raise UserError(f"{quoted(address)} is no cluster's address, such as 10.0.0.1:6379")
    try:
        socket.create_connection((host, int(port)), ANSWER).close()
    except (OSError, OverflowError) as error:
        raise UserError(
            f"no cluster answers at {address} ({error}); start one: `make cluster-local` for this "
            "machine, `make cluster-head` for several; or set compute.engine: local"
        ) from None
