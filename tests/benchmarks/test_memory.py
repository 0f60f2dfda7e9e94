import json

import pytest

from pipeline.benchmarks.memory import measure_here


@pytest.mark.slow
def test_memory_does_not_grow_with_the_images(
    project: object, capsys: pytest.CaptureFixture[str]
) -> None:
    own = []
    for rows in (1000, 8000, 16000):  # at first TensorFlow's own grows, and what it keeps
        measure_here(rows)
        own.append(json.loads(capsys.readouterr().out.splitlines()[-1])["own"])
    assert own[2] - own[1] < 8000 * 96 * 96 * 3 / 1e6  # less than the images that came
