"""Where the project's files are, relative to the working directory."""

import os
from pathlib import Path

PARAMS = Path("params.yaml")
RAW = Path("data/raw")  # the competition's CSV files
ARRAYS = Path("data/arrays")  # the same rows, checked, as arrays
TUNED = Path("experiments/tune")  # one YAML file a recipe
STUDIES = Path("experiments/studies")  # in git: long studies that later ones start from
TRAINED = Path("experiments/train")  # one folder a recipe
BLENDED = Path("experiments/ensemble")
SUBMISSION = Path("submissions/submission.csv")
SCORES = Path("submissions/metrics.json")
# In `dvc exp run --temp` the working directory is a copy, and DVC_ROOT names the original. Local
# state stays in the original: what one experiment finished, the others need not repeat.
ROOT = Path(os.environ.get("DVC_ROOT", "."))
CACHE = ROOT / "experiments/cache"
DATABASE = ROOT / "experiments/mlflow.db"
