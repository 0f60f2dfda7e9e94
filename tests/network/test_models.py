import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from pipeline.base.errors import UserError
from pipeline.base.hardware import keras, tf
from pipeline.network.models import build_model, build_optimizer, check_recipe, scaling_layer
from pipeline.network.predict import predict
from pipeline.network.way import OURS
from pipeline.recipes.files import checked, load_recipe
from pipeline.recipes.recipe import Recipe
from support.project import REPOSITORY, digits

SHAPE = (28, 28, 1)


def test_both_forms_of_a_network_say_the_same(project: Path) -> None:
    recipe = load_recipe("tiny")
    training = build_model(recipe, SHAPE, 10, OURS)
    predicting = build_model(recipe, SHAPE, 10)
    predicting.set_weights(training.get_weights())
    images = digits(20)[0].astype(np.float32)
    np.testing.assert_allclose(
        tf.nn.softmax(training(images / 255, training=False)), predicting(images), atol=1e-5
    )


@pytest.mark.slow
@pytest.mark.parametrize("strides", [1, 2])
def test_a_residual_block_adds_its_input_and_opens_in_plain_keras(
    project: Path, strides: int
) -> None:
    block = [{"Conv2D": {"filters": 4, "kernel_size": 3, "padding": "same", "strides": strides}}]
    layers = [{"Conv2D": {"filters": 4, "kernel_size": 5}}, {"Residual": block}, "Flatten"]
    recipe = changed(load_recipe("tiny"), layers=layers)
    check_recipe(recipe, Path("x.yaml"), SHAPE, 10)
    training = build_model(recipe, SHAPE, 10, OURS)
    scaling = scaling_layer(recipe, digits(6)[0])
    for _ in range(2):  # with `refit` the scaling is that of a second network
        final = build_model(recipe, SHAPE, 10, scaling=scaling)
    final.set_weights(training.get_weights())
    images = digits(6)[0]
    logits = training(images.astype(np.float32) / 255, training=False).numpy()
    expected = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
    np.testing.assert_allclose(predict(final, images, recipe), expected, atol=1e-5)
    final.save("saved.keras")
    opened = keras.models.load_model("saved.keras")
    np.testing.assert_allclose(opened.predict(images, verbose=0), expected, atol=1e-5)
    if strides == 1:  # with kernels of 0 the block passes its input on
        inner = final.layers[3]
        inner.set_weights([np.zeros_like(each) for each in inner.get_weights()])
        before = keras.Model(final.inputs[0], final.layers[2].output)(images)
        after = keras.Model(final.inputs[0], final.layers[4].output)(images)
        np.testing.assert_allclose(before, after, atol=1e-5)


@pytest.mark.slow
def test_a_saved_model_opens_in_plain_keras_on_raw_pixels(project: Path) -> None:
    model = build_model(load_recipe("tiny"), SHAPE, 10)
    model.save("model.keras")
    images = digits(5)[0]
    np.save("images.npy", images)
    code = (
        "import keras, numpy, sys; model = keras.models.load_model('model.keras');"
        "numpy.save('out.npy', model.predict(numpy.load('images.npy'), verbose=0));"
        "assert 'pipeline' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", code], check=True, capture_output=True)
    np.testing.assert_allclose(np.load("out.npy"), model(images), atol=1e-6)


def changed(recipe: Recipe, **changes: object) -> Recipe:
    return checked(recipe.model_dump() | {"search": {}} | changes, Path("x.yaml"))


@pytest.mark.parametrize(
    ("layers", "said"),
    [
        (["Conv2d"], "layers.0: keras.layers has no Conv2d; did you mean Conv2D?"),
        ([{"Dense": {"units": 4}}, {"Dropout": {"rat": 1}}], "layers.1: Dropout: "),
        ([{"Dense": {"units": -4}}], "layers.0: Dense: "),
        ([{"Conv2D": {"filters": 4, "kernel_size": 29}}], "layers: "),
        (
            [{"Conv2D": {"filters": 4, "kernel_size": 3}}],
            "not one row of numbers; end with Flatten",
        ),
        (["os"], "layers.0: keras.layers has no os"),
    ],
)
def test_a_wrong_layer_is_named(project: Path, layers: object, said: str) -> None:
    with pytest.raises(UserError) as caught:
        build_model(changed(load_recipe("tiny"), layers=layers), SHAPE, 10)
    assert said in str(caught.value)
    assert "\n" not in str(caught.value)


def rates(project_recipe: Recipe, schedule: object, steps: list[int]) -> list[float]:
    recipe = changed(project_recipe, optimizer={"SGD": {"learning_rate": schedule}})
    optimizer = build_optimizer(recipe, steps_per_epoch=10, epochs=4)
    values = []
    for step in steps:
        optimizer.iterations.assign(step)
        values.append(round(float(optimizer.learning_rate), 6))
    return values


def test_schedules_count_in_epochs_and_shares_of_the_training(project: Path) -> None:
    recipe = load_recipe("tiny")
    decay = {"initial_learning_rate": 1.0, "decay_rate": 0.5, "staircase": True}
    by_epoch = {"ExponentialDecay": decay | {"decay_steps": "1 epoch"}}
    assert rates(recipe, by_epoch, [0, 9, 10, 20]) == [1.0, 1.0, 0.5, 0.25]
    by_share = {"ExponentialDecay": decay | {"decay_steps": "50%"}}
    assert rates(recipe, by_share, [19, 20]) == [1.0, 0.5]
    by_step = {"ExponentialDecay": decay | {"decay_steps": 3}}
    assert rates(recipe, by_step, [2, 3]) == [1.0, 0.5]
    assert rates(recipe, 0.25, [0, 39]) == [0.25, 0.25]
    with pytest.raises(UserError, match=r"decay_steps: give a number of steps, .* not 'soon'"):
        rates(recipe, {"ExponentialDecay": decay | {"decay_steps": "soon"}}, [0])


def test_a_wrong_optimizer_or_schedule_is_named(project: Path) -> None:
    recipe = load_recipe("tiny")
    with pytest.raises(UserError, match=r"optimizer: keras.optimizers has no Adamw; did you mean"):
        build_optimizer(changed(recipe, optimizer={"Adamw": {}}), 10, 4)
    with pytest.raises(UserError, match=r"optimizer.learning_rate: .* has no Cosine"):
        rates(recipe, {"Cosine": {}}, [0])


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"loss": "SparseCategoricalCrossentropy"}, "labels are one-hot here"),
        ({"loss": "CosineSimilarity"}, "loss: CosineSimilarity: "),
        (
            {"layers": ["Flatten", {"Dense": {"units": 10, "activation": "softmax"}}]},
            "layers.1: Dense: a dense softmax of the classes comes last by itself; leave it out",
        ),
        ({"layers": ["Flatten", "Softmax"]}, "a dense softmax of the classes comes last by itself"),
        ({"layers": [{"Rescaling": {"scale": 0.004}}, "Flatten"]}, "pixels are scaled already"),
        ({"layers": ["Flatten", "Add"]}, "a recipe is one sequence; `Residual: [layers]` adds"),
        (
            {"layers": [{"Residual": [{"Conv2D": {"filters": 2, "kernel_size": 3}}]}, "Flatten"]},
            "layers.0.Residual: its layers give (26, 26) pixels, which no stride reaches",
        ),
        ({"optimizer": "adam"}, "optimizer: keras.optimizers has no adam; did you mean Adam?"),
        (
            {"optimizer": {"Adam": {"lr": 0.1}}},
            "there is no argument 'lr'; did you mean learning_r",
        ),
        (
            {"layers": [{"Conv2D": {"filters": 2, "kernal_size": 3}}]},
            "layers.0: Conv2D: there is no argument 'kernal_size'; did you mean kernel_size?",
        ),
        ({"callbacks": ["ModelCheckpoint"]}, "each epoch is saved anyway"),
        ({"loss": {"Hinge": {"margin": 3}}}, "loss: Hinge: "),
        ({"layers": ["Layer", "Flatten"]}, "x.yaml: "),
        (
            {"callbacks": ["EarlyStop"]},
            "x.yaml: callbacks.0: callbacks has no EarlyStop; did you mean EarlyStopping?",
        ),
        ({"callbacks": [{"StopWhenReached": {"valu": 1}}]}, "x.yaml: callbacks.0: StopWhenReached"),
        ({"canvas": {"height": 20, "width": 40}}, "x.yaml: canvas: (20, 40) is smaller than"),
        ({"normalize": {"width": 29}}, "x.yaml: normalize.width: 29 is more than the image's 28"),
        ({"layers": ["Conv2d"]}, "x.yaml: layers.0: keras.layers has no Conv2d"),
        ({"optimizer": {"AdamW": {"weight_decay": "much"}}}, "x.yaml: "),
        (
            {"optimizer": {"AdamW": {"learning_rate": {}}}},
            "x.yaml: optimizer.learning_rate: give one",
        ),
        (
            {"optimizer": {"SGD": {"learning_rate": {"CosineDecay": None}}}},
            "learning_rate: give one Keras sch",
        ),
        (
            {"optimizer": {"SGD": {"learning_rate": {"CosineDecay": {"decay_steps": 0.75}}}}},
            "x.yaml: optimizer.learning_rate.CosineDecay.decay_steps: give a number of steps",
        ),
    ],
)
def test_a_recipe_that_cannot_be_trained_is_found_before(
    project: Path, changes: dict[str, object], said: str
) -> None:
    recipe = load_recipe("tiny")
    check_recipe(recipe, Path("x.yaml"), SHAPE, 10)
    with pytest.raises(UserError) as caught:
        check_recipe(changed(recipe, **changes), Path("x.yaml"), SHAPE, 10)
    assert said in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("name", "parameters"),
    [
        ("conv_32_64_64", 159_254),
        ("ghouzam", 887_530),
        ("mlp_512_256", 535_818),
        ("three_conv_pool", 72_842),
        ("mlp_512_256_canvas56", 1_740_042),
        ("three_conv_pool_canvas56", 164_708 - 90 * 65),  # published with 90 outputs too many
    ],
)
def test_a_published_network_has_its_published_size(
    monkeypatch: pytest.MonkeyPatch, name: str, parameters: int
) -> None:
    monkeypatch.chdir(REPOSITORY)
    recipe = load_recipe(name)
    assert build_model(recipe, recipe.input_shape(SHAPE), 10).count_params() == parameters


def test_every_committed_recipe_can_be_trained(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(REPOSITORY)
    for path in Path("experiments/recipes").glob("*.yaml"):
        if path.stem != "photos":  # see below
            check_recipe(load_recipe(path.stem), path, SHAPE, 10)
    for shape in ((8, 8, 1), (32, 32, 3), (20, 50, 3)):
        check_recipe(load_recipe("small"), Path("small.yaml"), shape, 3)


@pytest.mark.slow
def test_an_application_is_trained_saved_and_opened_without_its_weights_from_a_network(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.chdir(REPOSITORY)
    recipe, shape = load_recipe("photos"), (32, 32, 3)
    with pytest.raises(UserError, match=r"Application: Keras could not fetch the weights"):
        check_recipe(recipe, Path("photos.yaml"), shape, 3)
    network = {"Application": {"name": "MobileNetV3Small", "weights": None}}
    bare = changed(recipe, layers=[network, *recipe.layers[1:]])
    check_recipe(bare, Path("photos.yaml"), shape, 3)
    training = build_model(bare, shape, 3, OURS)
    final = build_model(bare, shape, 3)
    final.set_weights(training.get_weights())
    images = np.random.default_rng(0).integers(0, 256, (4, *shape), dtype=np.uint8)
    expected = tf.nn.softmax(training(images.astype(np.float32) / 255, training=False))
    np.testing.assert_allclose(predict(final, images, bare), expected, atol=1e-4)
    final.save(tmp_path / "saved.keras")
    opened = keras.models.load_model(tmp_path / "saved.keras")
    np.testing.assert_allclose(opened.predict(images, verbose=0), expected, atol=1e-4)


def test_a_shape_that_does_not_fit_names_the_recipes_that_do(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.chdir(REPOSITORY)
    with pytest.raises(
        UserError, match=r"recipes that take images of 8 x 8 x 1: .*small"
    ) as caught:
        check_recipe(load_recipe("compact"), Path("compact.yaml"), (8, 8, 1), 10)
    assert "compact," not in str(caught.value)
