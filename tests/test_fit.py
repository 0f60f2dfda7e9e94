from pathlib import Path

import numpy as np
import pytest
from conftest import digits

from pipeline.augment import random_affine
from pipeline.fit import Digits, Epoch, Fitted, fit, predict, training_batches
from pipeline.hardware import tf
from pipeline.recipe import Augmentation, load_recipe

SEED = tf.constant([1, 2], tf.int64)


def affine(images: np.ndarray, seed: tf.Tensor = SEED, **ranges: float) -> np.ndarray:
    return random_affine(images.astype(np.float32), seed, Augmentation(**ranges)).numpy()


def test_no_range_changes_nothing() -> None:
    images = digits(4)[0]
    np.testing.assert_allclose(affine(images), images, atol=1e-3)


@pytest.mark.parametrize(
    "ranges",
    [
        {"rotation_range": 20.0},
        {"shear_range": 20.0},
        {"zoom_range": 0.3},
        {"width_shift_range": 0.2},
        {"height_shift_range": 0.2},
    ],
)
def test_each_range_changes_each_image_by_its_own_draw(ranges: dict[str, float]) -> None:
    image = digits(1)[0]
    twice = affine(np.concatenate([image, image]), **ranges)
    assert np.abs(twice[0] - image[0]).max() > 10
    assert np.abs(twice[0] - twice[1]).max() > 10
    assert np.array_equal(twice, affine(np.concatenate([image, image]), **ranges))
    assert not np.array_equal(twice, affine(np.concatenate([image, image]), SEED + 1, **ranges))


def test_a_shift_goes_no_further_than_its_range() -> None:
    point = np.zeros((200, 28, 28, 1))
    point[:, 14, 14] = 255
    shifted = affine(point, width_shift_range=0.1)
    columns = shifted.sum(axis=(1, 3)).argmax(axis=1)
    assert set(columns) == set(range(11, 18))  # 2.8 pixels each way
    assert (shifted.sum(axis=(2, 3)).argmax(axis=1) == 14).all()


def train(
    key: str = "a", epochs: int = 2, checkpoint: Path | None = None, **more: object
) -> Fitted:
    images, labels = digits(120)
    learn, watch = Digits(images[:100], labels[:100]), Digits(images[100:], labels[100:])
    return fit(
        load_recipe("tiny"),
        learn,
        watch,
        classes=10,
        key=key,
        epochs=epochs,
        precision="float32",
        checkpoint=checkpoint,
        **more,  # type: ignore[arg-type]
    )


def same(one: Fitted, other: Fitted) -> bool:
    pairs = zip(one.model.get_weights(), other.model.get_weights(), strict=True)
    return all(np.array_equal(mine, its) for mine, its in pairs)


def test_batches_hold_every_row_once_an_epoch_in_another_order(project: Path) -> None:
    images, labels = digits(100)
    marked = np.zeros_like(images)
    marked[:, 0, 0, 0] = np.arange(100)
    recipe = load_recipe("tiny").model_copy(update={"augmentation": Augmentation()})
    batches = list(training_batches(Digits(marked, labels), 10, recipe, "a", 0, 2))
    assert [len(pixels) for pixels, _ in batches] == [32, 32, 32, 4] * 2
    order = np.concatenate([pixels.numpy()[:, 0, 0, 0] for pixels, _ in batches]).astype(int)
    targets = np.concatenate([each.numpy().argmax(axis=1) for _, each in batches])
    assert sorted(order[:100]) == sorted(order[100:]) == list(range(100))
    assert list(order[:100]) != list(order[100:])
    assert np.array_equal(targets, labels[order])


def test_it_learns_and_tells_each_epoch(project: Path) -> None:
    rows: list[Epoch] = []
    fitted = train(epochs=8, report=rows.append)
    images, labels = digits(120)
    assert (predict(fitted.model, images[100:]).argmax(axis=1) == labels[100:]).mean() > 0.7
    assert rows == fitted.history
    assert [row["epoch"] for row in rows] == list(range(1, 9))
    assert {"loss", "accuracy", "val_loss", "val_accuracy", "seconds"} < set(rows[0])
    assert rows[-1]["loss"] < rows[0]["loss"]


def test_the_same_key_gives_the_same_bits_and_another_key_others(project: Path) -> None:
    assert same(train("a"), train("a"))
    assert not same(train("a"), train("b"))


def test_stopped_after_any_epoch_it_ends_as_if_undisturbed(project: Path) -> None:
    class StopError(Exception):
        pass

    def stop_at(epoch: int) -> object:
        def report(row: Epoch) -> None:
            if row["epoch"] == epoch:
                raise StopError

        return report

    whole = train(epochs=4)
    checkpoint = project / "epoch.npz"
    for epoch in (1, 3):
        with pytest.raises(StopError):
            train(epochs=4, checkpoint=checkpoint, report=stop_at(epoch))
    rows: list[Epoch] = []
    resumed = train(epochs=4, checkpoint=checkpoint, report=rows.append)
    assert [row["epoch"] for row in rows] == [4]
    assert [row["epoch"] for row in resumed.history] == [1, 2, 3, 4]
    assert same(whole, resumed)
    assert same(whole, train(epochs=4, checkpoint=checkpoint))  # all epochs done, none run


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
        assert "epoch.npz is damaged; training that fold from its start" in capsys.readouterr().err
        assert same(whole, again)
