"""What a model that is logged has to know of the recipes its networks are of."""

from typing import Any

import numpy as np

from pipeline.config import Settings
from pipeline.recipe import Recipe
from pipeline.seeds import random_key


def member(
    settings: Settings, name: str, recipe: Recipe, networks: list[str], weight: float = 1.0
) -> dict[str, Any]:
    """A recipe of a blend: its weight, its networks' names, and how an image comes to them."""
    return {
        "recipe": recipe.model_dump(mode="json", exclude={"search"}),
        "canvas_key": random_key(settings.seed, name, "canvas", "test"),
        "networks": networks,
        "weight": weight,
    }


def plan(settings: Settings, members: list[dict[str, Any]], example: np.ndarray) -> dict[str, Any]:
    """All of it, as JSON takes it; `example` is a few images, uint8 (rows, height, width, ...)."""
    return {
        "shape": list(settings.competition.image_shape),
        "classes": settings.competition.classes,
        "members": members,
        "example": example.tolist(),
    }
