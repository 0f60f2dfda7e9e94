import hashlib
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from pipeline.base.errors import UserError
from pipeline.base.settings import load_settings
from pipeline.data.embedded import MNIST, TRAIN_LABEL_COUNTS, deal
from pipeline.data.leaderboard import leaderboard_accuracy


def rows_of(images: np.ndarray) -> list[bytes]:
    return sorted(image.tobytes() for image in images)


def test_the_deal_has_kaggles_label_counts_and_every_digit_once(mnist: Path) -> None:
    dealt = deal(0)
    assert tuple(np.bincount(dealt.train_labels)) == TRAIN_LABEL_COUNTS
    assert dealt.train_images.shape == (42000, 28, 28)
    assert dealt.test_images.shape == (28000, 28, 28)
    with np.load(MNIST) as original:
        everything = np.concatenate([original["x_train"], original["x_test"]])
    assert rows_of(everything) == rows_of(np.concatenate([dealt.train_images, dealt.test_images]))


def test_the_deal_is_the_same_on_every_machine_and_version(mnist: Path) -> None:
    dealt = deal(0)
    digest = hashlib.sha256(dealt.train_images.tobytes() + dealt.test_labels.tobytes()).hexdigest()
    assert digest == "73eb8319aa8294613538ce90fa836f55f9e173df79343df0b5472c96b8f08ea8"


def test_a_deal_is_always_the_same_and_another_number_is_another_deal(mnist: Path) -> None:
    first, again, other = deal(0), deal(0), deal(1)
    assert np.array_equal(first.test_images, again.test_images)
    assert np.array_equal(first.test_labels, again.test_labels)
    assert not np.array_equal(first.test_labels, other.test_labels)
    assert tuple(np.bincount(other.train_labels)) == TRAIN_LABEL_COUNTS


def test_missing_and_damaged_digits_are_named(mnist: Path) -> None:
    content = bytearray(MNIST.read_bytes())
    content[5_000_000] ^= 1
    MNIST.write_bytes(content)
    with pytest.raises(UserError, match=r"data/mnist.npz is damaged; `git checkout"):
        deal(0)
    MNIST.unlink()
    with pytest.raises(UserError, match=r"data/mnist.npz is missing; `git checkout"):
        deal(0)


def test_the_leaderboard_counts_right_labels(mnist: Path) -> None:
    answers = deal(0).test_labels.astype(int)
    answers[:28] = (answers[:28] + 1) % 10
    table = pd.DataFrame({"ImageId": np.arange(1, 28001), "Label": answers})
    table.to_csv("submission.csv", index=False)
    labels = pd.read_csv("submission.csv")["Label"].to_numpy()
    score = leaderboard_accuracy(labels, load_settings().competition)
    assert score == pytest.approx(1 - 28 / 28000)
