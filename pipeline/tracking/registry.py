"""MLflow's model registry: every blend a version; the best of them is the champion."""

import tempfile
from pathlib import Path

import numpy as np
from mlflow.exceptions import MlflowException
from mlflow.tracking import MlflowClient

from pipeline.tracking.entries import LoggedModel
from pipeline.tracking.journal import KEPT

CHAMPION, CHALLENGER = "champion", "challenger"
ABOUT = (
    "Every blend of a whole run. It takes raw pixels, 0 to 255, as images or as rows, and returns "
    "each class's probability. `champion` is the best by more than chance, `challenger` the newest "
    "that is not."
)
CORRECT = "correct.npy"  # an artifact: bool, whether each judged row was labelled right


def register(client: MlflowClient, name: str, uri: str, run_id: str, entry: LoggedModel) -> None:
    """Enter a blend as a version of the competition's model, as champion if it is the best.

    The champion is replaced only by a blend that labels more rows right by more than chance
    (McNemar's exact test, one-sided, at 5%), on the same rows, or by one judged on more of them.
    """
    rows_sha256 = entry.rows_sha256 or ""
    try:
        client.create_registered_model(name, description=ABOUT)
    except MlflowException as error:
        if error.error_code != "RESOURCE_ALREADY_EXISTS":
            raise
    if client.search_model_versions(f"name = '{name}' AND run_id = '{run_id}'"):
        return
    correct = np.load(KEPT / entry.files[CORRECT], allow_pickle=False)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / CORRECT
        np.save(path, correct)
        client.log_artifact(run_id, str(path))
    tags = {"cv_accuracy": f"{correct.mean():.6f}", "rows": str(len(correct))}
    tags |= {"rows_sha256": rows_sha256}
    text = f"CV accuracy {correct.mean():.5f} of {len(correct):,} rows."
    made = client.create_model_version(name, uri, run_id, tags=tags, description=text)
    version = made.version
    better, why = _beats_champion(client, name, correct, rows_sha256)
    client.set_model_version_tag(name, version, "against_champion", why)
    client.set_registered_model_alias(name, CHAMPION if better else CHALLENGER, version)


def _beats_champion(
    client: MlflowClient, name: str, correct: np.ndarray, rows_sha256: str
) -> tuple[bool, str]:
    try:
        champion = client.get_model_version_by_alias(name, CHAMPION)
    except MlflowException as error:
        if error.error_code not in ("RESOURCE_DOES_NOT_EXIST", "INVALID_PARAMETER_VALUE"):
            raise
        return True, "the first"
    if champion.tags.get("rows_sha256") != rows_sha256:
        more = len(correct) > int(champion.tags.get("rows", 0))
        return more, f"judged on other rows than version {champion.version}"
    from pipeline.evaluation.scores import SIGNIFICANCE, paired_p_value  # SciPy, which few need

    with tempfile.TemporaryDirectory() as folder:
        path = client.download_artifacts(champion.run_id, CORRECT, folder)
        p_value = paired_p_value(correct, np.load(path, allow_pickle=False))
    return p_value < SIGNIFICANCE, f"against version {champion.version}: p {p_value:.4f}"
