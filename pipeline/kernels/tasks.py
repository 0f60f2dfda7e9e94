"""Which networks are to be trained: the same here and on Kaggle."""

from dataclasses import replace

from pipeline.base.settings import Settings
from pipeline.data.arrays import Data
from pipeline.data.results import Tuned
from pipeline.network.task import Task
from pipeline.network.way import Way
from pipeline.recipes.files import load_recipe
from pipeline.training.folds import fold_tasks


def tasks_of(
    settings: Settings, data: Data, ways: dict[str, list[str]] | None = None
) -> list[Task]:
    """The folds of all recipes, with tuned values; in `ways`, each recipe's, instead of ours."""
    found = []
    for name in settings.recipes:
        recipe = load_recipe(name, Tuned.read(name).values)
        for task in fold_tasks(settings, name, recipe, len(data.classes)):
            if ways:
                task = replace(task, way=Way(*ways[name]))
            found.append(task)
    return found
