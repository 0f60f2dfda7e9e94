"""Holds back what TensorFlow prints at every start, before its own log level is in force."""

import os
import re
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager

NOISE = re.compile(r"^I0000 |absl::InitializeLog|cuInit|cuda drivers|following instructions:|^\s*$")


@contextmanager
def without_start_up_noise() -> Iterator[None]:
    """Hold back what is written to stderr, by C++ too, and pass on all but the known noise."""
    sys.stderr.flush()
    real = os.dup(2)
    with tempfile.TemporaryFile() as held:
        os.dup2(held.fileno(), 2)
        try:
            yield
        finally:
            sys.stderr.flush()
            os.dup2(real, 2)
            os.close(real)
            held.seek(0)
            for line in held.read().decode(errors="replace").splitlines():
                if not NOISE.search(line):
                    print(line, file=sys.stderr)
