"""The embedded competition: MNIST's 70,000 digits, split as Kaggle's Digit Recognizer splits them.

The answers are in no file of their own: only the local leaderboard repeats the split to see them.
"""

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from pipeline.base.digests import sha256_file
from pipeline.base.errors import UserError

MNIST = Path("data/mnist.npz")
MNIST_SHA256 = "06af5dfe73b70e3bc1c36439982b18a8d76803db9b544f6fdf838a37fbb01b64"
# How many of each label Kaggle's train.csv has; the rest of MNIST's 70,000 are to be labelled.
TRAIN_LABEL_COUNTS = (4132, 4684, 4177, 4351, 4072, 3795, 4137, 4401, 4063, 4188)


@dataclass(frozen=True)
class Deal:
    """The two sides of a competition: uint8 images (rows, 28, 28) and uint8 labels (rows,)."""

    train_images: np.ndarray
    train_labels: np.ndarray
    test_images: np.ndarray
    test_labels: np.ndarray


def mnist() -> Deal:
    """MNIST's own two sides, 60,000 digits and 10,000, in its own order.

    Raises:
        UserError: data/mnist.npz is missing or is not the file this project was made with.
    """
    mend = f"`git checkout -- {MNIST}` restores it"
    try:
        digest = sha256_file(MNIST)
    except FileNotFoundError:
        raise UserError(f"{MNIST} is missing; {mend}") from None
    except OSError as error:
        raise UserError(f"{MNIST} cannot be read: {error.strerror}; {mend}") from None
    if digest != MNIST_SHA256:
        raise UserError(f"{MNIST} is damaged; {mend}")
    with np.load(MNIST, allow_pickle=False) as file:
        return Deal(*(file[name] for name in ("x_train", "y_train", "x_test", "y_test")))


def deal(number: int) -> Deal:
    """Split the digits into 42,000 labelled rows and 28,000 others, shuffled by a fixed seed.

    Args:
        number: seed of the split; another number is another split of the same digits.

    Raises:
        UserError: data/mnist.npz is missing or is not the file this project was made with.
    """
    original = mnist()
    images = np.concatenate([original.train_images, original.test_images])
    labels = np.concatenate([original.train_labels, original.test_labels])
    random = np.random.default_rng([2012, number])
    train = np.zeros(len(labels), dtype=bool)
    for label, count in enumerate(TRAIN_LABEL_COUNTS):
        train[random.choice(np.flatnonzero(labels == label), count, replace=False)] = True
    train_rows = random.permutation(np.flatnonzero(train))
    test_rows = random.permutation(np.flatnonzero(~train))
    return Deal(images[train_rows], labels[train_rows], images[test_rows], labels[test_rows])
