"""The files and variables of a Kaggle account, and what may be wrong with them."""

import codecs
import json
import os
import re
from pathlib import Path

MARKS = (codecs.BOM_UTF8, codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)


def token_files() -> list[Path]:
    """Where the client looks for a token or a key, in its order."""
    folder = Path(os.environ.get("KAGGLE_CONFIG_DIR") or Path.home() / ".kaggle")
    named = os.environ.get("KAGGLE_API_TOKEN", "")  # a token, or the path of one
    paths = [folder / "access_token", Path.home() / ".kaggle/access_token", folder / "kaggle.json"]
    return [*paths, Path(named)] if 0 < len(named) < 200 else paths


def wrong_file() -> str:
    """What is wrong with a file of credentials, or with the name of one; empty if nothing is."""
    tokens = [path for path in token_files()[:2] if path.exists()]
    named = os.environ.get("KAGGLE_API_TOKEN") or os.environ.get("KAGGLE_KEY")
    return wrong_token() if named or tokens else _wrong_key(token_files()[2].parent)


def wrong_token() -> str:
    """What is wrong with the token that the client would send; empty if nothing is."""
    named = os.environ.get("KAGGLE_API_TOKEN", "")
    if named.startswith(("/", "~", ".")) and not Path(named).expanduser().is_file():
        return f"KAGGLE_API_TOKEN: {named}: there is no such file"
    if named or os.environ.get("KAGGLE_KEY"):
        return ""  # files do not matter then
    for path in token_files()[:2]:
        if path.exists():
            return _wrong_content(path)
    return ""


def _wrong_key(folder: Path) -> str:
    """What is wrong with kaggle.json, or with a file that should be called so."""
    path = folder / "kaggle.json"
    for name in ("access_token.txt", "access_token.json", "kaggle.json.txt", "kaggle (1).json"):
        if (folder / name).is_file():
            wanted = "access_token" if name.startswith("access") else "kaggle.json"
            return f"{folder / name}: rename it to {wanted}"
    if not path.exists():
        return ""
    content, wrong = _read(path)
    if wrong:
        return wrong
    try:
        read = json.loads(content)
    except ValueError:
        bare = len(content.split()) == 1 and b"{" not in content
        what = "holds a bare token; rename it to access_token" if bare else "is no JSON"
        return f"{path} {what}"
    known = isinstance(read, dict) and {"username", "key"} <= {*read}
    return "" if known else f"{path} lacks username or key; make a new one at kaggle.com, Settings"


def _wrong_content(path: Path) -> str:
    """What is wrong with the file of a token; empty if nothing is."""
    content, wrong = _read(path)
    if wrong:
        return wrong
    if not content.strip():
        return f"{path} is empty; put the token in it"
    if content.lstrip().startswith(b"{"):
        return f"{path} is JSON: rename it to kaggle.json, or put the bare token in it"
    return ""


def _read(path: Path) -> tuple[bytes, str]:
    """A file's content, and what is wrong with it whatever it should hold; empty if nothing is."""
    try:
        content = path.read_bytes()
    except OSError as error:
        return b"", f"{path} cannot be read: {error.strerror}"
    if content.startswith(MARKS):
        return content, f"{path} begins with a byte order mark; save it as UTF-8 without one"
    return content, ""


def secrets() -> list[str]:
    """What no answer may contain: tokens and keys, from the environment and from files."""
    found = [os.environ.get(name, "") for name in ("KAGGLE_API_TOKEN", "KAGGLE_KEY")]
    for path in token_files():
        try:
            text = path.read_text()
        except (OSError, ValueError):
            continue
        found += [text.strip(), *re.findall(r'"key"\s*:\s*"([^"]+)"', text)]
    # As it is, as Python shows it, and each of its lines.
    found += [form for each in found for form in (repr(each)[1:-1], *each.split())]
    return sorted({secret for secret in found if len(secret) > 2}, key=len, reverse=True)
