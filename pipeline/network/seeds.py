"""Keys for stateless random draws: the same words, the same number."""

import hashlib


def random_key(*parts: object) -> int:
    """A number, 0 .. 2**31 - 1, from what the draws are for."""
    text = "/".join(str(part) for part in parts)
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:4], "big") >> 1
