"""MLflow's database after the project's folder was moved, renamed or copied."""

import sqlite3
from contextlib import closing
from pathlib import Path

from pipeline.base.console import say

# Where MLflow 3.17 keeps whole addresses of files: table, column.
ADDRESSES = (
    ("experiments", "artifact_location"),
    ("runs", "artifact_uri"),
    ("logged_models", "artifact_location"),
    ("model_versions", "source"),
    ("model_versions", "storage_location"),
)


def follow_move(database: Path, old: str, new: str) -> None:
    """Write the files' new addresses into the database.

    MLflow keeps whole addresses, and would go on writing to the old folder, which it makes again.
    """
    with closing(sqlite3.connect(database)) as opened, opened:
        for table, column in ADDRESSES:
            opened.execute(
                f"UPDATE {table} SET {column} = ? || substr({column}, ?) "  # noqa: S608 our names
                f"WHERE substr({column}, 1, ?) = ?",
                (new, len(old) + 1, len(old), old),
            )
    say(f"MLflow: the project was moved; its files are now looked for in {new}")
