from pathlib import Path

import numpy as np
import pytest

from pipeline.base.hardware import keras, tf
from pipeline.network.batches import Labelled, training_batches
from pipeline.network.checkpoint import Epoch
from pipeline.network.fit import Fitted, fit
from pipeline.network.models import scaling_layer
from pipeline.network.predict import predict
from pipeline.network.way import OURS, PLAIN, Way
from pipeline.recipes.files import load_recipe
from pipeline.recipes.recipe import Augmentation, Recipe
from support.project import digits


def train(
    key: str = "a",
    epochs: int = 2,
    checkpoint: Path | None = None,
    recipe: Recipe | None = None,
    way: Way = OURS,
    **more: object,
) -> Fitted:
    images, labels = digits(120)
    learn, watch = Labelled.of(images[:100], labels[:100]), Labelled.of(images[100:], labels[100:])
    return fit(
        recipe or load_recipe("tiny"),
        learn,
        watch,
        classes=10,
        key=key,
        epochs=epochs,
        way=way,
        checkpoint=checkpoint,
        **more,  # type: ignore[arg-type]
    )


def same(one: Fitted, other: Fitted) -> bool:
    pairs = zip(one.model.get_weights(), other.model.get_weights(), strict=True)
    return all(np.array_equal(mine, its) for mine, its in pairs)


def test_by_keras_s_own_kernels_a_network_learns_the_same_but_for_rounding(project: Path) -> None:
    recipe = load_recipe("tiny")
    plain = [layer for layer in recipe.layers if "Dropout" not in layer]  # other random bits
    recipe = recipe.model_copy(update={"layers": plain})
    ours, kerass = (train(epochs=1, recipe=recipe, way=way) for way in (OURS, PLAIN))
    assert {type(layer).__module__.split(".")[0] for layer in kerass.training.layers} == {"keras"}
    assert type(kerass.training.optimizer) is not type(ours.training.optimizer)
    for mine, its in zip(ours.model.get_weights(), kerass.model.get_weights(), strict=True):
        np.testing.assert_allclose(mine, its, atol=2e-3)


def test_batches_hold_every_row_once_an_epoch_in_another_order(project: Path) -> None:
    images, labels = digits(100)
    marked = np.zeros_like(images)
    marked[:, 0, 0, 0] = np.arange(100)
    recipe = load_recipe("tiny").model_copy(update={"augmentation": Augmentation()})
    rows, scaling = Labelled.of(marked, labels), keras.layers.Rescaling(1)
    epoch = tf.Variable(0, dtype=tf.int64)
    one = training_batches(rows, 10, recipe, scaling, "a", epoch)
    batches = list(one)
    epoch.assign(1)
    batches += list(one)
    assert [len(pixels) for pixels, _ in batches] == [32, 32, 32, 4] * 2
    order = np.concatenate([pixels.numpy()[:, 0, 0, 0] for pixels, _ in batches]).astype(int)
    targets = np.concatenate([each.numpy().argmax(axis=1) for _, each in batches])
    assert sorted(order[:100]) == sorted(order[100:]) == list(range(100))
    assert list(order[:100]) != list(order[100:])
    assert np.array_equal(targets, labels[order])


def test_it_learns_and_tells_each_epoch(project: Path) -> None:
    rows: list[Epoch] = []
    fitted = train(epochs=8, report=lambda history: rows.append(history[-1]))
    images, labels = digits(120)
    assert (
        predict(fitted.model, images[100:], load_recipe("tiny")).argmax(axis=1) == labels[100:]
    ).mean() > 0.7
    assert rows == fitted.history
    assert [row["epoch"] for row in rows] == list(range(1, 9))
    assert {"loss", "accuracy", "val_loss", "val_accuracy", "seconds"} < set(rows[0])
    assert rows[-1]["loss"] < rows[0]["loss"]


def test_the_same_key_gives_the_same_bits_and_another_key_others(project: Path) -> None:
    assert same(train("a"), train("a"))
    assert not same(train("a"), train("b"))


class StopError(Exception):
    pass


def stop_at(epoch: int) -> object:
    def report(history: list[Epoch]) -> None:
        if len(history) == epoch:
            raise StopError

    return report


@pytest.mark.slow
def test_stopped_after_any_epoch_it_ends_as_if_undisturbed(project: Path) -> None:
    whole = train(epochs=4)
    checkpoint = project / "epoch.npz"
    for epoch in (1, 3):
        with pytest.raises(StopError):
            train(epochs=4, checkpoint=checkpoint, report=stop_at(epoch))
    rows: list[Epoch] = []
    resumed = train(
        epochs=4, checkpoint=checkpoint, report=lambda history: rows.append(history[-1])
    )
    assert [row["epoch"] for row in rows] == [4]
    assert [row["epoch"] for row in resumed.history] == [1, 2, 3, 4]
    assert same(whole, resumed)
    assert same(whole, train(epochs=4, checkpoint=checkpoint))  # all epochs done, none run


@pytest.mark.slow
def test_a_damaged_checkpoint_is_noticed_and_the_training_starts_over(
    project: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    checkpoint = project / "epoch.npz"
    whole = train(checkpoint=checkpoint)
    content = checkpoint.read_bytes()
    flipped = bytearray(content)
    flipped[len(content) // 2] ^= 1
    for damaged in (b"", content[:-100], bytes(flipped)):
        checkpoint.write_bytes(damaged)
        again = train(checkpoint=checkpoint)
        assert "epoch.npz is damaged; training that fold from the start" in capsys.readouterr().err
        assert same(whole, again)


def changed(**changes: object) -> Recipe:
    return Recipe.model_validate(load_recipe("tiny").model_dump() | {"search": {}} | changes)


@pytest.mark.slow
def test_it_stops_when_a_training_accuracy_is_reached(project: Path) -> None:
    recipe = changed(callbacks=[{"StopWhenReached": {"monitor": "accuracy", "value": 0.5}}])
    history = train(epochs=30, recipe=recipe).history
    assert len(history) < 30
    assert [row["accuracy"] >= 0.5 for row in history] == [False] * (len(history) - 1) + [True]


@pytest.mark.slow
def test_callbacks_watch_training_rows_and_never_those_held_out(project: Path) -> None:
    best = {"EarlyStopping": {"patience": 9, "restore_best_weights": True}}
    recipe = changed(validation=0.2, callbacks=[best])
    images, labels = digits(120)
    before = train(epochs=4, recipe=recipe)
    spoilt = Labelled.of(255 - images[100:], labels[100:])
    after = fit(
        recipe,
        Labelled.of(images[:100], labels[:100]),
        spoilt,
        classes=10,
        key="a",
        epochs=4,
        way=OURS,
    )
    assert same(before, after)
    assert [row["val_loss"] for row in before.history] == [row["val_loss"] for row in after.history]


@pytest.mark.slow
def test_best_weights_plateau_and_patience_survive_a_kill_at_any_epoch(project: Path) -> None:
    recipe = changed(
        validation=0.2,
        optimizer={"SGD": {"learning_rate": 0.1}},
        callbacks=[  # mode max: a loss that falls is one that does not get better
            {"EarlyStopping": {"mode": "max", "patience": 4, "restore_best_weights": True}},
            {"ReduceLROnPlateau": {"mode": "max", "patience": 2, "factor": 0.5}},
        ],
    )
    whole = train(epochs=9, recipe=recipe)
    losses = [row["val_loss"] for row in whole.history]
    rates = [row["learning_rate"] for row in whole.history]
    assert len(losses) == 5
    assert rates == pytest.approx([0.1, 0.1, 0.1, 0.05, 0.05])
    checkpoint = project / "epoch.npz"
    for epoch in range(1, len(whole.history) + 1):
        with pytest.raises(StopError):
            train(epochs=9, recipe=recipe, checkpoint=checkpoint, report=stop_at(epoch))
    resumed = train(epochs=9, recipe=recipe, checkpoint=checkpoint, report=stop_at(99))
    assert same(whole, resumed)
    assert [row["val_loss"] for row in resumed.history] == losses


@pytest.mark.slow
def test_standardized_pixels_have_the_training_rows_mean_and_spread(project: Path) -> None:
    images, labels = digits(200)
    images[:, 0, 0] = 7  # a pixel that is always the same
    recipe = changed(scaling="standardize", augmentation={}, batch_size=200)
    scaling = scaling_layer(recipe, images)
    ((pixels, _),) = training_batches(
        Labelled.of(images, labels), 10, recipe, scaling, "a", tf.Variable(0, dtype=tf.int64)
    )
    varied = pixels.numpy().reshape(200, -1)[:, 1:]
    np.testing.assert_allclose(varied.mean(axis=0), 0, atol=1e-4)
    np.testing.assert_allclose(varied.std(axis=0), 1, atol=1e-3)
    assert not pixels[:, 0, 0].numpy().any()
    fitted = train(recipe=recipe, epochs=8)
    assert (predict(fitted.model, images[100:], recipe).argmax(axis=1) == labels[100:]).mean() > 0.5
    fitted.model.save("model.keras")
    opened = keras.models.load_model("model.keras")
    before = predict(fitted.model, images, recipe)
    np.testing.assert_allclose(predict(opened, images, recipe), before, atol=1e-6)


@pytest.mark.slow
def test_a_network_used_again_is_as_a_new_one(project: Path) -> None:
    recipe = changed(
        validation=0.2,
        optimizer={"SGD": {"learning_rate": 0.1, "momentum": 0.9}},
        callbacks=[{"ReduceLROnPlateau": {"mode": "max", "patience": 1, "factor": 0.5}}],
    )
    new = train("a", recipe=recipe, epochs=3)
    train("b", recipe=recipe, epochs=3)  # leaves momentum, a lower rate and other weights behind
    assert same(new, train("a", recipe=recipe, epochs=3))
    train("a")  # another kind
    assert same(new, train("a", recipe=recipe, epochs=3))


@pytest.mark.slow
def test_views_are_averaged_and_the_same_for_an_image_whatever_its_neighbours(
    project: Path,
) -> None:
    images = digits(40)[0]
    recipe = changed(views=4)
    model = train(epochs=2).model
    viewed = predict(model, images, recipe)
    assert (
        np.abs(viewed - predict(model, images, recipe.model_copy(update={"views": 1}))).max() > 1e-3
    )
    np.testing.assert_allclose(viewed.sum(axis=1), 1, atol=1e-5)
    np.testing.assert_allclose(predict(model, images[::-3], recipe), viewed[::-3], atol=1e-6)
