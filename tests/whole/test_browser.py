"""A real browser on a finished run: the report, the MLflow UI, a served model. `make test-browser`.

With SCREENSHOTS=docs/images it leaves what it saw there, for the README.
"""

import json
import os
import re
import signal
import subprocess
import sys
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import mlflow
import numpy as np
import pytest
import yaml
from mlflow.tracking import MlflowClient

from support.checkout import copy_checkout, environment, run
from support.loopback import free_port, wait_for
from support.project import REPOSITORY, write_yaml

pytestmark = pytest.mark.browser
playwright = pytest.importorskip("playwright.sync_api", reason="`make test-browser` installs it")


def shoot(page: Any, name: str) -> None:
    """Leave a screenshot where SCREENSHOTS says."""
    if folder := os.environ.get("SCREENSHOTS"):
        page.screenshot(path=REPOSITORY / folder / f"{name}.png")


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A checkout with two results, of which one differs in a layer and in its epochs."""
    params: dict[str, Any] = yaml.safe_load((REPOSITORY / "params.yaml").read_text())
    params["recipes"] = ["tiny"]
    params["preprocess"]["folds"] = 2
    params["tune"]["trials"] = 10
    folder = copy_checkout(tmp_path_factory.mktemp("checkout"), params)
    command = (sys.executable, "-m", "pipeline")
    run(folder, *command, "repro")
    wider = yaml.safe_load((folder / "experiments/recipes/tiny.yaml").read_text())
    wider["layers"][0]["Conv2D"]["filters"] = 12
    write_yaml(folder / "experiments/recipes/wider.yaml", wider)
    run(folder, *command, "try", "fewer-epochs", "train.epochs=12", "recipes=[wider]")
    run(folder, *command, "report")
    return folder


@pytest.fixture(scope="module")
def ui(finished: Path) -> Iterator[str]:
    """The page that `make ui` prints."""
    with serving(finished, "ui") as address:
        yield address


@contextmanager
def serving(folder: Path, command: str) -> Iterator[str]:
    """The page that a command serves until it is interrupted."""
    process = subprocess.Popen(
        [sys.executable, "-m", "pipeline", command, "--port", str(free_port()), "--no-browser"],
        cwd=folder, env=environment(folder), stdout=subprocess.PIPE, text=True,
    )  # fmt: skip
    try:
        assert process.stdout
        yield process.stdout.readline().rpartition(" ")[2].strip()
    finally:
        process.send_signal(signal.SIGTERM)
        process.communicate(timeout=60)


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    with playwright.sync_playwright() as started:
        # As root, as in a container, Chromium has no sandbox of its own.
        launched = started.chromium.launch(
            executable_path="/usr/bin/chromium", args=["--no-sandbox"]
        )
        yield launched
        launched.close()


@pytest.fixture
def page(browser: Any) -> Iterator[Any]:
    """A page that may ask nothing off this machine, and says nothing is wrong."""
    opened = browser.new_page(viewport={"width": 1400, "height": 900})
    asked: list[str] = []
    wrong: list[str] = []
    missing: list[str] = []
    opened.on("request", lambda request: asked.append(request.url))
    opened.on("console", lambda said: wrong.append(said.text) if said.type == "error" else None)
    opened.on(
        "response", lambda answer: missing.append(answer.url) if answer.status > 399 else None
    )
    opened.on("pageerror", lambda error: wrong.append(str(error)))
    yield opened
    opened.close()
    off = [
        url for url in asked if not re.match(r"(http://127\.0\.0\.1[:/]|file:|data:|blob:)", url)
    ]
    assert off == []
    # What MLflow's own page asks its server for and does not mind not getting.
    assert [url for url in missing if not re.search(r"/(ajax-api|graphql|static-files)", url)] == []
    # And a notice of the browser's while MLflow's table unfolds.
    harmless = ("Failed to load resource", "null ResizeObserver loop")
    assert [text for text in wrong if not text.startswith(harmless)] == []


def test_the_report_tells_the_run(finished: Path, page: Any) -> None:
    page.goto((finished / "experiments/report.html").as_uri())
    scores = json.loads((finished / "submissions/metrics.json").read_text())
    assert f"{scores['cv_accuracy']:.5f}" in page.inner_text("body")
    broken = "[...document.images].filter(image => !image.naturalWidth).length"
    assert page.evaluate("document.images.length") >= 8
    assert page.evaluate(broken) == 0
    shoot(page, "report")
    errors = page.locator(".errors details")
    count = errors.count()
    label = errors.first.get_attribute("data-label")
    page.click(f"label[for=of-{label}]")
    of_label = page.locator(f'.errors details[data-label="{label}"]')
    assert page.locator(".errors details:visible").count() == of_label.count()
    page.click("label[for=of-all]")
    assert page.locator(".errors details:visible").count() == count
    errors.first.locator("summary").click()
    assert "tiny" in errors.first.locator("table").inner_text()
    page.set_viewport_size({"width": 390, "height": 800})
    assert page.evaluate("document.documentElement.scrollWidth") <= 400  # readable on a phone


def experiment(finished: Path) -> tuple[MlflowClient, str]:
    mlflow.set_tracking_uri(f"sqlite:///{finished / 'experiments/mlflow.db'}")
    client = MlflowClient()
    return client, client.get_experiment_by_name("digit-recognizer").experiment_id


def test_the_tree_of_runs_shows_in_the_mlflow_ui(finished: Path, ui: str, page: Any) -> None:
    seen = "localStorage.setItem('mlflow.assistant.fab.autoOpenedOnFirstLoad_v1', 'true')"
    page.add_init_script(seen)  # MLflow's assistant opens once, over the list
    page.goto(ui)
    page.get_by_text("repro-1: tiny").first.wait_for(timeout=60_000)
    page.get_by_text("fewer-epochs: wider").first.wait_for()
    for column in ("cv_accuracy", "cv_errors", "seconds"):  # of the list, without a click
        page.get_by_text(column, exact=True).first.wait_for()
    row = page.locator("[role=row]")
    for name, below in (("repro-1: tiny", "train tiny"), ("train tiny", "tiny fold 2")):
        row.filter(has_text=name).locator("button").first.click()
        page.get_by_text(below).first.wait_for()
    page.wait_for_timeout(1500)
    shoot(page, "runs")


def test_a_run_shows_its_metrics_and_a_picture(finished: Path, ui: str, page: Any) -> None:
    client, number = experiment(finished)
    (trained, *_) = client.search_runs([number], "tags.`mlflow.runName` = 'ensemble'")
    server = ui.partition("/#")[0]
    page.goto(f"{server}/#/experiments/{number}/runs/{trained.info.run_id}")
    page.get_by_text("cv_accuracy", exact=True).first.wait_for(timeout=60_000)
    page.goto(f"{server}/#/experiments/{number}/runs/{trained.info.run_id}/artifacts/confusion.png")
    page.get_by_text("confusion.png").first.wait_for(timeout=60_000)
    page.wait_for_function(
        "[...document.images].some(image => image.naturalWidth > 300)", timeout=60_000
    )
    shoot(page, "picture")


def test_two_executions_compare(finished: Path, ui: str, page: Any) -> None:
    client, number = experiment(finished)
    tops = client.search_runs([number], "tags.pipeline = 'true'")
    names = json.dumps([run.info.run_id for run in tops])
    page.goto(f'{ui.partition("/#")[0]}/#/compare-runs?runs={names}&experiments=["{number}"]')
    page.get_by_text("leaderboard_accuracy").first.wait_for(timeout=60_000)
    page.get_by_text("train.epochs").first.wait_for()
    page.get_by_text("Conv2D(filters=12").first.wait_for()  # the layer in which they differ
    page.wait_for_timeout(1000)
    shoot(page, "compare")


def test_a_drawing_is_labelled(finished: Path, page: Any) -> None:
    with serving(finished, "draw") as address:
        page.goto(address)
        pad = page.locator("#pad").bounding_box()
        page.mouse.move(pad["x"] + 140, pad["y"] + 40)
        page.mouse.down()
        page.mouse.move(pad["x"] + 140, pad["y"] + 240, steps=10)
        page.mouse.up()
        page.wait_for_function("document.getElementById('answer').textContent !== '-'")
        assert page.inner_text("#answer") in "0123456789"
        assert "blend" in page.inner_text("#said")
        shoot(page, "draw")
        page.goto("about:blank")


def test_a_model_is_served_and_takes_the_competitions_rows(finished: Path) -> None:
    client, number = experiment(finished)
    (top,) = client.search_runs([number], "tags.`mlflow.runName` LIKE 'repro-1:%'")
    under = f"tags.`mlflow.parentRunId` = '{top.info.run_id}'"
    (blend,) = client.search_runs([number], f"{under} AND tags.`mlflow.runName` = 'ensemble'")
    (logged,) = blend.outputs.model_outputs
    port = free_port()
    images = np.load(finished / "data/arrays/test_images.npy")[:2]
    places = {
        **environment(finished),
        "MLFLOW_TRACKING_URI": f"sqlite:///{finished / 'experiments/mlflow.db'}",
        "MLFLOW_DISABLE_TELEMETRY": "true",
    }
    process = subprocess.Popen(
        ["mlflow", "models", "serve", "-m", f"models:/{logged.model_id}", "--host",
         "127.0.0.1", "--port", str(port), "--env-manager", "local", "--workers", "1"],
        cwd=finished, env=places, start_new_session=True,
    )  # fmt: skip
    try:
        wait_for(port, process)
        asked = urllib.request.Request(
            f"http://127.0.0.1:{port}/invocations",
            json.dumps({"inputs": images.reshape(2, -1).tolist()}).encode(),
            {"Content-Type": "application/json"},
        )
        with urllib.request.urlopen(asked, timeout=120) as answer:  # noqa: S310 loopback
            predicted = np.array(json.load(answer)["predictions"])
    finally:
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()
    blended = np.load(finished / "experiments/ensemble/test.npy")[:2]
    np.testing.assert_allclose(predicted, blended, atol=1e-5)
