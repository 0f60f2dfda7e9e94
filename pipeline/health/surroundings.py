"""What surrounds the project: file systems, git, the user; each trouble in a line, with a cure."""

import errno
import os
import shutil
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

from pipeline.base.errors import UserError
from pipeline.base.paths import CACHE
from pipeline.provenance.dvc import check_lock
from pipeline.provenance.snapshot import need_git

SMALL = 200 << 20  # bytes that a run needs for temporary files


def locks_work() -> None:
    """Check that processes can lock files here.

    Raises:
        UserError: they cannot: each would wait for ever, or none at all.
    """
    try:
        import fcntl
    except ImportError:
        return  # not a system with such locks; filelock has others there
    CACHE.mkdir(parents=True, exist_ok=True)
    with tempfile.NamedTemporaryFile(dir=CACHE, prefix=".lock-") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            raise UserError(
                f"the file system of {CACHE.resolve()} has no locks ({error.strerror}); move the "
                "project to a local disk, or mount it with locks (NFS: without nolock)"
            ) from None


def room_for_temporary_files() -> None:
    """Check that temporary files can be written, and that there is room.

    Raises:
        UserError: there is none.
    """
    folder = tempfile.gettempdir()
    free = shutil.disk_usage(folder).free
    if free < SMALL:
        raise UserError(
            f"{folder} has {free >> 20} MB free, temporary files need {SMALL >> 20}; "
            "free some space, or set TMPDIR to a folder on a larger disk"
        )


def home_is_writable() -> None:
    """Check that libraries can write to the home folder.

    Raises:
        UserError: they cannot: matplotlib and others then do it again at each start.
    """
    home = Path.home()
    if not os.access(home, os.W_OK):
        raise UserError(
            f"HOME is {home}, where this user cannot write; libraries start slowly: set HOME to a "
            "folder of your own"
        )


NEEDED: tuple[tuple[str, Callable[[], None]], ...] = (
    ("git", need_git),
    ("dvc.lock", check_lock),
    ("file locks", locks_work),
    ("temporary files", room_for_temporary_files),
)
WANTED: tuple[tuple[str, Callable[[], None]], ...] = (("home folder", home_is_writable),)


def check_needed() -> None:
    """Check what a run cannot do without.

    Raises:
        UserError: the first trouble, and its cure.
    """
    for _, look in NEEDED:
        look()


def troubles() -> Iterator[tuple[str, str, bool]]:
    """Each look by its name, its trouble (empty: none), and whether a run needs it."""
    for looks, needed in ((NEEDED, True), (WANTED, False)):
        for name, look in looks:
            try:
                look()
            except UserError as error:
                yield name, str(error), needed
            except OSError as error:
                reason = error.strerror or errno.errorcode.get(error.errno or 0, "it fails")
                yield name, reason, needed
            else:
                yield name, "", needed
