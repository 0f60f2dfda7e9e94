"""How many of each recipe's networks are trained already: `python -m pipeline cached`."""

import json

from pipeline.base.settings import load_settings
from pipeline.data.arrays import load_data
from pipeline.data.results import Tuned
from pipeline.recipes.files import load_recipe
from pipeline.training.cache import in_cache
from pipeline.training.folds import fold_tasks


def main() -> None:
    """Print, as JSON, how many of each recipe's networks are in the cache."""
    settings, data, known = load_settings(), load_data(), {}
    for name in settings.recipes:
        recipe = load_recipe(name, Tuned.read(name).values if Tuned.exists(name) else {})
        tasks = fold_tasks(settings, name, recipe, len(data.classes))
        known[name] = sum(bool(in_cache(task, data)) for task in tasks)
    print(json.dumps(known))
