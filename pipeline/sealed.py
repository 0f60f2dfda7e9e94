"""Files that only grow, sealed as far as they have grown: a byte that changes later is noticed."""

import hashlib
import json
from pathlib import Path

from pipeline.files import write_json


def seal(path: Path) -> None:
    """Note how long the file is, and its SHA-256 so far."""
    content = path.read_bytes()
    digest = hashlib.sha256(content).hexdigest()
    write_json(_seal(path), {"bytes": len(content), "sha256": digest})


def is_intact(path: Path) -> bool:
    """Whether what was sealed is still as it was; what came after it may be anything."""
    try:
        sealed = json.loads(_seal(path).read_text())
        begun = path.read_bytes()[: sealed["bytes"]]
        return hashlib.sha256(begun).hexdigest() == sealed["sha256"]
    except FileNotFoundError:
        return not path.exists() or not _seal(path).exists()
    except (ValueError, KeyError, TypeError):
        return False


def _seal(path: Path) -> Path:
    return path.with_suffix(".seal")
