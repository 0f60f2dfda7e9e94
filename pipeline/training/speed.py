"""How fast this machine trains a recipe's network, measured once and kept in experiments/cache.

`train.precision: auto` goes by it. A processor's flags do not tell: one kind of Xeon multiplies
bfloat16 and still trains a third slower in it than in float32 (`make doctor` shows what is chosen).
"""

import time
from importlib.metadata import version
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np

from pipeline.base.console import say
from pipeline.base.digests import sha256_json
from pipeline.base.errors import UserError
from pipeline.base.files import read_json, write_json
from pipeline.base.locks import locked
from pipeline.base.paths import CACHE
from pipeline.base.processor import family_model, processor_name
from pipeline.base.settings import load_settings
from pipeline.data.arrays import known_classes
from pipeline.recipes.files import load_recipe
from pipeline.recipes.recipe import Recipe

PLAIN, FASTER = "float32", "mixed_bfloat16"
ENOUGH = 1.1  # how many times as fast a precision must be to be taken instead of float32
STEPS, ROUNDS = 8, 5
OF_TRAINING = 0.3  # a prediction's share of the time that training on an image takes


def resolve_precision(wanted: str, recipe: Recipe, shape: Any, classes: int) -> str:
    """The precision to train in: as wanted, or for `auto` the one that this machine is faster at.

    The same machine always takes the same: what was measured is kept.
    """
    if wanted != "auto":
        return wanted
    from pipeline.training.machine import machines  # TensorFlow takes seconds

    machine = machines()[0]
    if machine.gpu or not machine.bfloat16:
        return FASTER if machine.bfloat16 else PLAIN
    return faster_precision(images_per_second(recipe, tuple(shape), classes))


def faster_precision(speeds: dict[str, float]) -> str:
    """The precision that `auto` takes, by the speed in each."""
    return FASTER if speeds.get(FASTER, 0.0) >= ENOUGH * speeds[PLAIN] else PLAIN


def images_per_second(
    recipe: Recipe, shape: tuple[int, int, int], classes: int
) -> dict[str, float]:
    """Training images a second of one process, by precision; measured the first time."""
    from pipeline.training.machine import machines  # TensorFlow takes seconds

    machine = machines()[0]
    path = speed_file(recipe, shape, classes, machine.description)
    with locked(f"speed/{path.stem}", "measuring how fast this machine trains"):
        known = known_speeds(path)
        if known is None:
            precisions = [PLAIN, FASTER] if machine.bfloat16 else [PLAIN]
            known = (machine.measure or measure)(recipe, shape, classes, precisions)
            write_json(path, known)
    return known


def known_speeds(path: Path) -> dict[str, float] | None:
    """The speeds that were measured; None before."""
    try:
        read = read_json(path)
        return {PLAIN: float(read[PLAIN])} | {name: float(each) for name, each in read.items()}
    except (UserError, KeyError, TypeError, ValueError, AttributeError):
        return None


def speed_file(
    recipe: Recipe,
    shape: tuple[int, int, int],
    classes: int,
    described: dict[str, Any] | None = None,
) -> Path:
    """Where the speed of a kind of network is kept, on the machine described or on this one."""
    # A tuned rate or momentum costs no time: the same network by another name would be measured.
    layers = [
        [name, {key: each for key, each in given.items() if key not in ("rate", "momentum")}]
        for named in recipe.layers
        for name, given in named.items()
    ]
    machine = [processor_name(), family_model(), version("tensorflow"), version("keras")]
    if described:
        machine = [described[key] for key in ("processor", "family_model", "tensorflow", "keras")]
    decides = [machine, layers, recipe.batch_size, recipe.input_shape(shape), classes]
    return CACHE / f"speed/{sha256_json(decides)[:16]}.json"


def measure(
    recipe: Recipe, shape: tuple[int, int, int], classes: int, precisions: list[str]
) -> dict[str, float]:
    """Train a few steps in each precision in turn; images a second, the median of the rounds.

    What else the machine does meanwhile slows all of them.
    """
    from pipeline.network.models import build_loss, build_model, build_optimizer
    from pipeline.network.optimizers import faster_optimizer

    size, batch = recipe.input_shape(shape), recipe.batch_size
    random = np.random.default_rng(0)
    pixels = random.random((batch, *size), np.float32)
    labels = np.eye(classes, dtype=np.float32)[random.integers(0, classes, batch)]
    models = {}
    for precision in precisions:
        model = build_model(recipe, size, classes, train_dtype=precision)
        model.compile(faster_optimizer(build_optimizer(recipe, 100, 1)), build_loss(recipe))
        model.train_on_batch(pixels, labels)  # traced here
        models[precision] = model
    seconds: dict[str, list[float]] = {precision: [] for precision in precisions}
    for _ in range(ROUNDS):
        for precision, model in models.items():
            started = time.perf_counter()
            for _ in range(STEPS):
                model.train_on_batch(pixels, labels)
            seconds[precision].append(time.perf_counter() - started)
    return {name: round(STEPS * batch / median(each), 1) for name, each in seconds.items()}


def in_words(speeds: dict[str, float]) -> str:
    """The speed in each precision, and which of them `auto` takes."""
    shown = ", ".join(f"{precision} {speed:,.0f}" for precision, speed in speeds.items())
    return f"{shown} images a second a network; auto is {faster_precision(speeds)}"


def main() -> None:
    """Show how fast this machine trains each recipe of params.yaml; measure what is not known."""
    from pipeline.base.hardware import has_bfloat16, has_gpu  # TensorFlow takes seconds

    if has_gpu():  # where `auto` asks the GPU
        say(f"a GPU: auto is {FASTER if has_bfloat16() else PLAIN}")
        return
    settings = load_settings()
    shape, classes = settings.competition.image_shape, len(known_classes())
    for name in settings.recipes:
        say(f"{name}: {in_words(images_per_second(load_recipe(name), shape, classes))}")
