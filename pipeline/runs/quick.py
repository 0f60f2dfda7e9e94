"""`make quick`: the whole road, from the data to a scored submission file, in two minutes."""

from pipeline.base.settings import QUICK
from pipeline.runs.experiment import experiment, parse_changes

# All rows, each seen three times by one of two networks. float32: the precision that every machine
# is good at, so that none needs to be measured.
CHANGES = (
    f"recipes=[{QUICK}]",
    "preprocess.folds=2",
    "preprocess.rows=null",
    "tune.trials=0",
    "train.epochs=null",
    "train.repeats=1",
    "train.precision=float32",
)


def main() -> int:
    """Run everything quickly, in experiments/tries/quick; the project stays as it is."""
    return experiment(QUICK, parse_changes(list(CHANGES)))
