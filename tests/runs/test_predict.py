"""A picture or a CSV file is labelled by the networks in place, as they label the same images."""

import json
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import requests
from PIL import Image

from pipeline.base.hardware import keras
from pipeline.data.arrays import load_data
from pipeline.network.models import build_model
from pipeline.recipes.files import load_recipe
from pipeline.runs.explain import nearest
from pipeline.runs.members import Networks, load_members
from pipeline.runs.pictures import fitted
from support.loopback import free_port
from support.project import REPOSITORY, digits, run_here


@pytest.fixture
def networks(finished: Path) -> Path:
    """The finished project with two networks of each recipe, of random weights."""
    for name in ("tiny", "other"):
        for fold in (0, 1):
            keras.utils.set_random_seed(fold)
            model = build_model(load_recipe(name), (28, 28, 1), 10)
            model.save(f"experiments/train/{name}/fold{fold}.keras")
    return finished


def test_the_blend_is_the_weighted_mean_of_the_members(networks: Path) -> None:
    members = load_members(Path())
    said = Networks(members).probabilities(digits(5)[0])
    assert list(said)[-1] == "blend"
    weights = {name: each["weight"] for name, each in members.items()}
    expected = sum(weights[name] * said[name] for name in weights) / sum(weights.values())
    np.testing.assert_allclose(said["blend"], expected)
    first = next(iter(members))
    models = [keras.models.load_model(path) for path in members[first]["networks"]]
    alone = np.mean([model.predict(digits(5)[0], verbose=0) for model in models], axis=0)
    np.testing.assert_allclose(said[first], alone, atol=1e-5)


def test_a_picture_and_a_csv_file_are_labelled(
    networks: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    images = digits(30)[0]
    Image.fromarray(images[3, ..., 0]).save("three.png")
    columns = [f"pixel{at}" for at in range(784)]
    pd.DataFrame(images.reshape(30, -1), columns=columns).to_csv("some.csv", index=False)
    assert run_here("predict", "three.png", "some.csv", "--out", "labels.csv") == 0
    shown = capsys.readouterr().out
    assert "three.png" in shown
    assert "and 11 more" in shown
    labels = pd.read_csv("labels.csv")
    assert list(labels.columns) == ["ImageId", "Label"]
    expected = Networks(load_members(Path())).probabilities(images)["blend"].argmax(1)
    assert labels["Label"].tolist() == [expected[3], *expected]
    assert run_here("predict", "nosuch.png") == 1
    assert "nosuch.png is missing" in capsys.readouterr().err
    Path("text.png").write_text("no picture")
    assert run_here("predict", "text.png") == 1
    assert "text.png is not a picture" in capsys.readouterr().err


def test_a_drawing_is_sized_placed_and_turned_to_bright_ink() -> None:
    paper = np.full((300, 200), 255, np.uint8)
    paper[20:180, 30:60] = 0  # a dark bar, off the middle
    image = fitted(Image.fromarray(paper), (28, 28, 1))[..., 0]
    assert image.shape == (28, 28)
    rows, columns = np.nonzero(image > 128)
    assert rows.max() - rows.min() + 1 == 20  # MNIST's digits are 20 pixels high
    assert abs(rows.mean() - 13.5) <= 1
    assert abs(columns.mean() - 13.5) <= 1
    assert image[0, 0] == 0
    assert not fitted(Image.new("L", (50, 50), 255), (28, 28, 1)).any()


def test_a_row_is_explained_by_its_number_in_the_file(
    finished: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    np.save("data/arrays/rows.npy", np.arange(1, 201) * 3)
    assert run_here("explain", "30") == 0
    shown = capsys.readouterr().out
    assert "row 30: label 9," in shown
    for name in ("tiny", "other", "blend"):
        assert name in shown
    assert Path("experiments/explain-30.png").read_bytes().startswith(b"\x89PNG")
    assert run_here("explain", "31") == 1
    assert (
        "row 31 of train.csv is not in this run, which has 200 rows, 3, 6, 9, ... 600"
        in capsys.readouterr().err
    )
    data = load_data()
    flat = data.train_images.reshape(200, -1).astype(float)
    distances = ((flat - flat[9]) ** 2).sum(axis=1)
    distances[9] = np.inf
    assert nearest(data, 9, 5).tolist() == np.argsort(distances)[:5].tolist()


def test_the_drawing_page_answers_this_machine_alone(
    networks: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PYTHONPATH", str(REPOSITORY))
    port = free_port()
    command = [sys.executable, "-m", "pipeline", "draw", "--port", str(port), "--no-browser"]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    try:
        assert process.stdout
        assert process.stdout.readline().strip().endswith(f"http://127.0.0.1:{port}/")
        page = f"http://127.0.0.1:{port}/"
        assert "Draw a digit" in requests.get(page, timeout=10).text
        Image.fromarray(digits(3)[0][2, ..., 0]).save("two.png")
        content = Path("two.png").read_bytes()
        answer: dict[str, Any] = requests.post(f"{page}label", content, timeout=30).json()
        assert set(answer["said"]) == {"tiny", "other", "blend"}
        assert sum(answer["said"]["blend"]) == pytest.approx(1)
        assert requests.post(f"{page}label", b"text", timeout=10).status_code == 400
        elsewhere = {"Host": "evil.invalid"}
        refused = requests.post(f"{page}label", content, headers=elsewhere, timeout=10)
        assert refused.status_code == 403
    finally:
        process.send_signal(signal.SIGTERM)
        process.communicate(timeout=30)
    assert process.returncode == 0
    assert json.dumps(answer["seen"]).startswith('"data:image/png;base64,')
