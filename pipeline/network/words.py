"""Keras's classes by the names and arguments that a recipe gives; its mistakes, in plain words."""

import inspect
import re
from typing import Any

from pipeline.base.errors import UserError, did_you_mean, one_line, quoted
from pipeline.base.hardware import keras
from pipeline.recipes.recipe import Named, Recipe
from pipeline.recipes.search import RESIDUAL

# What many write and no recipe needs, and what to do instead.
NOT_HERE = {
    "Rescaling": "pixels are scaled already, as `scaling` says; leave it out",
    "Normalization": "pixels are scaled already; `scaling: standardize` normalizes them",
    "Input": "the images' shape is known; leave it out",
    "InputLayer": "the images' shape is known; leave it out",
    "Softmax": "a dense softmax of the classes comes last by itself; leave it out",
    "ModelCheckpoint": "each epoch is saved anyway, and a killed training continues from it; the "
    "callbacks are EarlyStopping, ReduceLROnPlateau, TerminateOnNaN and StopWhenReached",
    "SparseCategoricalCrossentropy": "labels are one-hot here; take CategoricalCrossentropy",
    "BinaryCrossentropy": "labels are one-hot here; take CategoricalCrossentropy",
}
ALSO = {"lr": "learning_rate", "decay": "weight_decay"}  # what arguments were once called
MERGING = ("Add", "Average", "Concatenate", "Dot", "Maximum", "Minimum", "Multiply", "Subtract")
BRANCH = f"a recipe is one sequence; `{RESIDUAL}: [layers]` adds a block's input to its output"


def build(module: Any, named: Named, where: str, **more: Any) -> Any:
    """`{"Conv2D": {"filters": 32}}` -> `keras.layers.Conv2D(filters=32)`.

    Raises:
        UserError: there is no such class, it does not take such arguments, or has no use here.
    """
    ((name, arguments),) = named.items()
    if name in NOT_HERE:
        raise UserError(f"{where}: {name}: {NOT_HERE[name]}")
    if name in MERGING:
        raise UserError(f"{where}: {name}: {BRANCH}")
    factory = getattr(module, name, None)
    if not inspect.isclass(factory):
        own = module.__name__.startswith("pipeline")  # the callbacks, which are few
        kind = keras.callbacks.Callback if own else object
        classes = {key: each for key, each in vars(module).items() if inspect.isclass(each)}
        known = [key for key, each in classes.items() if issubclass(each, kind)]
        otherwise = f"there are {', '.join(known)}" if own else "Keras's documentation lists names"
        hint = did_you_mean(name, known, otherwise)
        place = module.__name__.removeprefix("pipeline.network.")
        raise UserError(f"{where}: {place} has no {name}; {hint}")
    _check_arguments(factory, arguments, f"{where}: {name}")
    try:
        return factory(**arguments, **more)
    except (TypeError, ValueError) as error:
        raise UserError(f"{where}: {name}: {one_line(without_colours(str(error)))}") from None


def _check_arguments(factory: type, arguments: dict[str, Any], where: str) -> None:
    """Name an argument that the class does not have, before Keras names another as missing."""
    known = {
        parameter.name
        for each in factory.__mro__
        if "__init__" in vars(each) and each.__module__.startswith(("keras", "pipeline"))
        for parameter in inspect.signature(vars(each)["__init__"]).parameters.values()
        if parameter.kind == parameter.POSITIONAL_OR_KEYWORD
        or parameter.kind == parameter.KEYWORD_ONLY
    } - {"self"}
    for key in arguments:
        if key not in known:
            hint = did_you_mean(ALSO.get(key, key), known, f"it has {', '.join(sorted(known))}")
            raise UserError(f"{where}: there is no argument {quoted(key)}; {hint}")


def check_words(recipe: Recipe) -> None:
    """Refuse what Keras would build, and what would be wrong here.

    Raises:
        UserError: the recipe ends with a softmax of its own.
    """
    ((name, arguments),) = recipe.layers[-1].items()
    if "softmax" in (arguments.get("activation"), name.lower()):
        raise UserError(f"layers.{len(recipe.layers) - 1}: {name}: {NOT_HERE['Softmax']}")


def without_colours(text: str) -> str:
    """A message of Keras's without the escape codes that colour it at a terminal."""
    return re.sub(r"\x1b\[[0-9;]*m", "", text)
