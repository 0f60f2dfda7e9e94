"""The shell's settings that would change what this project does, set aside before anything else."""

import getpass
import os
import tempfile
from pathlib import Path

# Set by git for its hooks, and by people: they would point git at another repository.
GIT = ("GIT_DIR", "GIT_WORK_TREE", "GIT_INDEX_FILE", "GIT_OBJECT_DIRECTORY", "GIT_COMMON_DIR",
       "GIT_PREFIX", "GIT_NAMESPACE", "GIT_ALTERNATE_OBJECT_DIRECTORIES")  # fmt: skip


def set_aside() -> None:
    """Make this process and those that it starts independent of the caller's own settings."""
    os.environ["MPLBACKEND"] = "agg"  # a notebook sets its own, which only works inside it
    for name in (*GIT, "PYTHONWARNINGS"):  # `error` would end DVC by its own warnings
        os.environ.pop(name, None)
    os.environ["SHELL"] = "/bin/sh"  # DVC runs its stages with it; some users have none
    try:
        Path.home()
    except RuntimeError:  # neither HOME nor an entry for this user, as in some containers
        os.environ["HOME"] = tempfile.mkdtemp(prefix="home-")
    try:
        getpass.getuser()
    except (KeyError, OSError):  # the same: DVC asks for a name
        os.environ["LOGNAME"] = f"user{os.getuid()}"
