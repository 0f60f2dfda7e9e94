"""Where the project's files are, relative to the working directory."""

import configparser
import os
from pathlib import Path

PARAMS = Path("params.yaml")
RAW = Path("data/raw")  # the competition's files
ARRAYS = Path("data/arrays")  # the same images, checked, as arrays
TUNED = Path("experiments/tune")  # one YAML file a recipe
STUDIES = Path("experiments/studies")  # in git: long studies that later ones start from
TRAINED = Path("experiments/train")  # one folder a recipe
BLENDED = Path("experiments/ensemble")
SUBMISSION = Path("submissions/submission.csv")
SCORES = Path("submissions/metrics.json")
FOR_DVC = Path("submissions/scores.json")  # the columns of `dvc exp show`
# An experiment runs in a folder of its own, and PIPELINE_ROOT names the project (in `dvc exp run
# --temp` DVC_ROOT does). Local state stays in the project: what one experiment finished, the others
# need not repeat.
ROOT = Path(os.environ.get("PIPELINE_ROOT") or os.environ.get("DVC_ROOT", "."))
CACHE = ROOT / "experiments/cache"
DATABASE = ROOT / "experiments/mlflow.db"
SECONDS = Path("experiments/cache/seconds")  # of this working directory, unlike the rest of CACHE


def shown(path: Path) -> str:
    """A path as a user of the project types it, also from within an experiment's folder."""
    return os.path.relpath(path.resolve(), ROOT.resolve())


PLAN = Path("experiments/cache/plan.json")  # the seconds that each stage to run may take
RESTARTED = "PIPELINE_RESTARTED"  # when a process that trains replaced itself, seconds since 1970
EXPERIMENT = os.environ.get("PIPELINE_EXPERIMENT")  # the name of the experiment that runs here
EXPERIMENTS = ROOT / "experiments/tries"  # the folder of each experiment of `make try`


def dvc_objects() -> Path:
    """Where DVC keeps files, and folders' lists, by their MD5; to ask DVC itself takes a second."""
    from dvc.dirs import global_config_dir, system_config_dir

    above = [Path(folder, "config") for folder in (system_config_dir(), global_config_dir())]
    cache = Path(".dvc/cache")
    for path in (*above, Path(".dvc/config"), Path(".dvc/config.local")):
        read = configparser.ConfigParser(interpolation=None)
        read.read(path)
        if said := read.get("cache", "dir", fallback="").strip("\"'"):
            cache = path.parent / Path(said).expanduser()
    return cache / "files/md5"


def dvc_object(objects: Path, md5: str) -> Path:
    """The file of an MD5 among DVC's objects."""
    return objects / md5[:2] / md5[2:]
