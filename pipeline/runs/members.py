"""The networks of a result, ready to label images: those in place, or an experiment's."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from pipeline.base.errors import UserError
from pipeline.base.paths import BLENDED, EXPERIMENTS, TRAINED, TUNED
from pipeline.base.settings import Settings, load_settings
from pipeline.data.results import Blended, Tuned
from pipeline.provenance.snapshot import run_git
from pipeline.recipes.files import recipe_path, with_values
from pipeline.recipes.recipe import Recipe


@dataclass(frozen=True)
class Member:
    """A recipe of a blend."""

    name: str
    weight: float
    recipe: Recipe
    models: list[Path]
    canvas_key: int


def folder_of(name: str) -> Path:
    """The folder of a result: the project, or by its name an experiment's.

    Raises:
        UserError: there is no such folder, or nothing has been run in it.
    """
    folder = EXPERIMENTS / name / run_git("rev-parse", "--show-prefix") if name else Path()
    if not (folder / BLENDED / "metrics.json").exists():
        hint = "`make take` puts a result in place" if name else "`make quick` takes two minutes"
        raise UserError(f"{folder / BLENDED / 'metrics.json'} is missing; {hint}")
    return folder


def load_members(folder: Path) -> tuple[Settings, list[Member]]:
    """The settings of a result, and the recipes of its blend.

    Raises:
        UserError: a file of the result is missing or damaged.
    """
    from pipeline.base.frozen import validate
    from pipeline.base.yaml_file import read_yaml
    from pipeline.network.seeds import random_key

    settings = load_settings(folder / "params.yaml")
    blended = Blended.read(folder=folder / BLENDED)
    members = []
    for name, each in blended.members.items():
        path = folder / recipe_path(name)
        recipe = validate(Recipe, read_yaml(path), path)
        tuned = Tuned.read(name, folder / TUNED)
        recipe = with_values(recipe, tuned.values, path)
        models = sorted((folder / TRAINED / name).glob("*.keras"))
        if not models:
            raise UserError(f"{folder / TRAINED / name} has no networks; run `make repro`")
        key = random_key(settings.seed, name, "canvas", "test")
        members.append(Member(name, each.weight, recipe, models, key))
    return settings, members


class Networks:
    """The members' networks, opened once."""

    def __init__(self, members: list[Member]) -> None:
        from pipeline.base.hardware import keras

        self.members = members
        self.opened: dict[str, list[Any]] = {
            member.name: [keras.models.load_model(path, compile=False) for path in member.models]
            for member in members
        }

    def probabilities(self, images: np.ndarray) -> dict[str, np.ndarray]:
        """What each member says of images, uint8 (rows, height, width, channels), and the blend.

        Returns:
            float64 (rows, classes) by the member's name, the blend last.
        """
        from pipeline.network.inputs import network_inputs
        from pipeline.network.predict import predict

        said = {}
        for member in self.members:
            rows = np.arange(len(images))
            inputs = network_inputs(images, rows, member.recipe, member.canvas_key)
            models = self.opened[member.name]
            said[member.name] = np.mean(
                [predict(model, inputs, member.recipe) for model in models], axis=0, dtype=float
            )
        weights = [member.weight for member in self.members]
        blend = np.average([said[member.name] for member in self.members], axis=0, weights=weights)
        return {**said, "blend": blend}
