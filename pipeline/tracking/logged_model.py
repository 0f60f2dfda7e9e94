"""Networks as an MLflow model: raw pixels in, probabilities out."""

import json
import shutil
import tempfile
import warnings
from importlib.metadata import version
from pathlib import Path

import mlflow
import numpy as np
from mlflow.models import Model

from pipeline.tracking.entries import LoggedModel
from pipeline.tracking.journal import KEPT

PIPELINE = Path(__file__).parents[1]
# What `blend_model.py` imports of the pipeline, and what that needs.
CODE = ("base", "network", "recipes")
REQUIREMENTS = ("tensorflow", "keras", "numpy", "pydantic")


class _Unproven(Model):
    """A model that is not loaded to be logged: importing TensorFlow and predicting take 11 s."""

    def get_serving_input(self, path: str) -> str | None:  # noqa: ARG002
        """What MLflow would try to predict; the file is written all the same."""
        return None


def log_model(run_id: str, entry: LoggedModel) -> str:
    """Log the networks of a journal's entry; return the model's URI."""
    plan = entry.plan
    # MLflow warns that it cannot check the model's input, which the model does itself.
    with tempfile.TemporaryDirectory() as folder, warnings.catch_warnings(action="ignore"):
        path = Path(folder) / "plan.json"
        path.write_text(json.dumps(plan))
        code = Path(folder) / PIPELINE.name
        for part in CODE:
            shutil.copytree(PIPELINE / part, code / part, ignore=shutil.ignore_patterns("*.pyc"))
        shutil.copy(PIPELINE / "__init__.py", code)
        networks = [name for member in plan["members"] for name in member["networks"]]
        files = {name: str((KEPT / entry.files[name]).resolve()) for name in networks}
        logged = _Unproven.log(
            None,
            flavor=mlflow.pyfunc,
            run_id=run_id,
            name=entry.name,
            python_model=str(Path(__file__).with_name("blend_model.py")),
            artifacts={"plan": str(path)} | files,
            code_paths=[str(code)],
            signature=False,  # it takes images as well as rows of pixels, see `blend_model.py`
            input_example=np.array(plan["example"], np.uint8),
            # Given: finding them out would take 13 s.
            pip_requirements=[f"{name}=={version(name)}" for name in REQUIREMENTS],
        )
    return logged.model_uri
