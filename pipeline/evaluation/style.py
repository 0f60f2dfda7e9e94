"""How every picture looks: a PNG file, drawn without a screen."""

import io
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import matplotlib
import numpy as np
from matplotlib.figure import Figure
from matplotlib.rcsetup import cycler
from PIL import Image

from pipeline.base.files import replacing

WIDTH = 7.0  # inches, of every picture: as wide as a page, still readable on a phone
GOOD, BAD, OTHER = "#2b6ca3", "#c8452f", "#7a7a7a"  # distinct for the colour-blind too
STYLE: Any = {
    "font.size": 9,
    "figure.titlesize": 10,
    "axes.titlesize": 10,
    "axes.grid": True,
    "axes.axisbelow": True,
    "axes.prop_cycle": cycler(color=[GOOD, BAD, "#3a923a", "#8a63b3", OTHER]),
    "axes.spines.top": False,
    "axes.spines.right": False,
    "grid.alpha": 0.3,
    "legend.frameon": False,
}


@contextmanager
def picture(
    path: Path, height: float, down: int = 1, across: int = 1
) -> Iterator[tuple[Figure, np.ndarray]]:
    """A picture of `height` inches to draw in: itself and its axes, (down, across); then written.

    The style is in force for the block alone, whatever the process's own matplotlib is set to.
    """
    with matplotlib.rc_context(STYLE):
        drawn = Figure(figsize=(WIDTH, height), layout="constrained")
        yield drawn, drawn.subplots(down, across, squeeze=False)
        save(drawn, path)


def save(drawn: Figure, path: Path) -> None:
    """Write a picture, complete or not at all."""
    rendered = io.BytesIO()
    drawn.savefig(rendered, dpi=110, format="png")
    with replacing(path) as temporary:
        # 128 colours look the same in a third of the bytes: the report holds every picture.
        Image.open(rendered).convert("RGB").quantize(128, dither=Image.Dither.NONE).save(
            temporary, optimize=True
        )
