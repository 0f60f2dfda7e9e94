"""Images as a recipe's network takes them: on its canvas, in its standard form."""

import numpy as np

from pipeline.canvas import place
from pipeline.normalize import normalize
from pipeline.recipe import Recipe


def network_inputs(
    images: np.ndarray, rows: np.ndarray, recipe: Recipe, canvas_key: int
) -> np.ndarray:
    """Some images, uint8 (rows, height, width, channels), as `recipe` wants them.

    Each is the same whichever rows are asked for.
    """
    return normalize(place(images, rows, recipe.canvas, canvas_key), recipe.normalize)
