from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from pipeline.base.files import write_json
from pipeline.base.paths import SECONDS
from pipeline.base.settings import load_settings
from pipeline.benchmarks.published import HELD_OUT, average, holdout, jobs, networks, scores
from pipeline.benchmarks.speed import beside_a_run, learned_rows, measure_speed
from pipeline.benchmarks.table import END, START, write_tables
from pipeline.data.arrays import load_data
from pipeline.data.results import Scores
from pipeline.network.way import OURS
from pipeline.provenance.stage import stage_seconds
from pipeline.recipes.files import load_recipe
from pipeline.recipes.recipe import Split
from pipeline.runs.deals import averaging, report


def test_a_holdout_is_stratified_and_another_for_another_key(arrays: Path) -> None:
    labels = np.asarray(load_data().train_labels)
    folds = holdout(labels, 0.2, key=1)
    assert np.array_equal(np.bincount(labels[folds == HELD_OUT]), np.full(10, 4))
    assert np.array_equal(folds, holdout(labels, 0.2, key=1))
    assert not np.array_equal(folds, holdout(labels, 0.2, key=2))


def test_a_split_makes_the_networks_it_says(arrays: Path) -> None:
    settings, data = load_settings(), load_data()

    def held_out(split: Split) -> list[frozenset[int]]:
        return [
            frozenset(np.flatnonzero(own.folds == fold).tolist())
            for own, fold in networks(split, data, settings)
        ]

    assert held_out(Split()) == [frozenset()]
    folds = held_out(Split(folds=4))
    assert sorted(len(rows) for rows in folds) == [50] * 4
    assert frozenset.union(*folds) == set(range(200))
    several = held_out(Split(holdout=0.1, networks=3))
    assert [len(rows) for rows in several] == [20] * 3
    assert len(set(several)) == 3
    assert held_out(Split(digits="mnist", holdout=0.5, holdout_of="test")) == [frozenset()]


@pytest.mark.slow
def test_scores_are_of_rows_the_networks_did_not_see(arrays: Path) -> None:
    settings, data = load_settings(), load_data()
    answers = np.arange(50) % 10
    own = Split(digits="mnist", holdout=0.2)
    trained = jobs(settings, "tiny", load_recipe("tiny"), own, data)
    found, results = scores(settings, own, trained, answers)
    held_out, labels = results[0].held_out, data.train_labels
    right = results[0].probabilities.argmax(axis=1) == labels[held_out]
    assert found["validation"] == pytest.approx(right.mean())
    right = results[0].test_probabilities.argmax(axis=1) == answers
    assert found["test"] == pytest.approx(right.mean())
    halves = Split(digits="mnist", holdout=0.5, holdout_of="test")
    trained = jobs(settings, "tiny", load_recipe("tiny"), halves, data)
    found, _ = scores(settings, halves, trained, answers)
    assert set(found) == {"validation", "test"}


@pytest.mark.slow
@pytest.mark.parametrize("at_once", [1, 2])
def test_speeds_and_their_ratios(arrays: Path, at_once: int) -> None:
    recipe = load_recipe("tiny")
    found = measure_speed(recipe, load_data(), 10, OURS, at_once)
    assert min(found.values()) > 0
    assert found["of_ceiling"] < 2


def test_a_row_takes_the_place_of_its_old_one(arrays: Path) -> None:
    Path("docs").mkdir()
    Path("docs/benchmarks.md").write_text(f"before\n{START}\nold\n{END}\nafter\n")
    row = {
        "recipe": "b", "seeds": 1, "networks": 15, "parameters": 1234, "published_leaderboard": 0.99,
        "leaderboard": 0.991, "epochs": 3, "epoch_seconds": 1.5, "seconds": 90, "of_ceiling": 0.5,
        "images_per_second": 4000, "stock_images_per_second": 1000, "speedup": 4,
    }  # fmt: skip
    file = Path("experiments/benchmark.csv")
    write_tables(file, row)
    write_tables(file, row | {"recipe": "a", "published_leaderboard": None})
    short = {"recipe": "low", "published_leaderboard": 0.995, "remark": "one network of fifteen"}
    write_tables(file, row | short)
    write_tables(file, {"recipe": "b", "leaderboard": 0.992, "leaderboard_std": 0.0001, "seeds": 3})
    write_tables(file, {"recipe": "nano", "networks": 2, "leaderboard": 0.98})
    write_tables(file, {"recipe": "timed", "published_test": 0.99, "speedup": 2.0})
    table = pd.read_csv(file).set_index("recipe")
    assert list(table.index) == ["a", "b", "low", "nano", "timed"]
    assert table.loc["b", "leaderboard"] == 0.992
    text = Path("docs/benchmarks.md").read_text()
    assert text.startswith("before\n")
    assert text.endswith("after\n")
    assert "old" not in text
    assert (
        "| `b` | 0.99 leaderboard | 0.99200 ± 0.00010 leaderboard (15 networks, mean of 3 seeds) | yes |"
        in text
    )
    assert "| 0.99100 leaderboard (15 networks) | no: one network of fifteen | 0.99100 |" in text
    assert "| 4,000 | 1,000; ours 4.0 times as fast | 50% |" in text
    assert "| `timed` | 0.99 test | - | - | - |" in text
    assert "| `nano` | - | - | - | 0.98000 | - |" in text  # what is not known yet


def test_runs_by_several_seeds_are_averaged() -> None:
    runs = pd.DataFrame({"leaderboard": [0.98, 0.99], "seconds": [10, 20]})
    row = average(runs)
    assert (row["seeds"], row["leaderboard"], row["seconds"]) == (2, pytest.approx(0.985), 15)
    assert row["leaderboard_std"] == pytest.approx(0.00707, abs=1e-5)
    assert np.isnan(average(runs[:1])["leaderboard_std"])


def test_the_dealings_are_compared_with_what_chance_would_give(arrays: Path) -> None:
    ends: dict[str, Any] = {"cv_accuracy_low": 0.98, "cv_accuracy_high": 1.0}
    scores = {
        deal: Scores(cv_accuracy=0.99, leaderboard_accuracy=0.99 + 0.001 * deal, **ends)
        for deal in (0, 2)
    }
    _, mean, error = report((42_000, 28_000), scores)
    assert mean == pytest.approx(0.001)
    assert error == pytest.approx(0.00053, abs=2e-5)


def test_what_averaging_is_worth_follows_from_two_networks_a_fold() -> None:
    one = np.ones(1000, bool)
    one[:10] = False
    two = one.copy()
    two[:4], two[900] = True, False  # four rows won, one lost
    worth, error = averaging(one, two, networks=6)
    assert worth == pytest.approx(2 * 5 / 6 * 0.003)
    assert error == pytest.approx(2 * 5 / 6 * np.sqrt(5 - 9 / 1000) / 1000)
    assert averaging(one, two, networks=2)[0] == pytest.approx(0.003)
    assert averaging(one, two, networks=1)[0] == 0


def test_a_network_learns_from_the_rows_that_its_author_left_it() -> None:
    def rows(**split: Any) -> int:
        values = {"split": Split(**split), "validation": None}
        return learned_rows(load_recipe("compact").model_copy(update=values), 42_000)

    assert rows() == 42_000
    assert rows(folds=4) == 31_500
    assert rows(holdout=0.1) == 37_800
    assert rows(digits="mnist", holdout=0.5, holdout_of="test") == 42_000
    assert learned_rows(load_recipe("ghouzam"), 42_000) == 37_800


def test_a_run_is_held_against_one_network_of_stock_keras(finished: Path) -> None:
    recipe = load_recipe("tiny").model_copy(update={"epochs": 30, "validation": 0.1})
    settings = load_settings().changed(preprocess={"rows": None})
    said = beside_a_run(settings, recipe, 42_000, {"stock_images_per_second": 840.0})
    assert said.startswith("one network of it takes stock Keras 22:30")
    names = [name.replace("@", "-") for name in stage_seconds(settings.recipes)]
    for path in SECONDS.glob("*.json"):
        path.unlink()
    for name in names:
        said = beside_a_run(settings, recipe, 42_000, {"stock_images_per_second": 840.0})
        assert "in place" not in said, "not all stages have run"
        write_json(SECONDS / f"{name}.json", 675 / len(names))
    said = beside_a_run(settings, recipe, 42_000, {"stock_images_per_second": 840.0})
    assert said.endswith("all stages of the run in place took 11:15, 0.50 of that")
