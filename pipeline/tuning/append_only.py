"""Files that only grow: their digest so far, so that a byte that changes later is noticed."""

import hashlib
import json
from pathlib import Path

from pipeline.base.files import write_json


def note_digest(path: Path) -> None:
    """Write down how long the file is, and its SHA-256 so far."""
    content = path.read_bytes()
    digest = hashlib.sha256(content).hexdigest()
    write_json(_note(path), {"bytes": len(content), "sha256": digest})


def is_intact(path: Path) -> bool:
    """Whether the part that was noted has not changed; what came after it may be anything."""
    try:
        noted = json.loads(_note(path).read_text())
        begun = path.read_bytes()[: noted["bytes"]]
        return hashlib.sha256(begun).hexdigest() == noted["sha256"]
    except FileNotFoundError:
        return not path.exists() or not _note(path).exists()
    except (ValueError, KeyError, TypeError):
        return False


def _note(path: Path) -> Path:
    return path.with_suffix(".seal")
