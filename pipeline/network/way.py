"""How a network is trained on a machine: in which precision, by whose kernels."""

from typing import NamedTuple

KERAS, FASTER = "keras", "faster"  # Keras's own kernels, or those of `network/layers.py`


class Way(NamedTuple):
    """A precision and the kernels; what is computed is the same, up to rounding."""

    precision: str  # a Keras dtype policy
    kernels: str


PLAIN, OURS = Way("float32", KERAS), Way("float32", FASTER)
