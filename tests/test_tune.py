from pathlib import Path
from typing import Any

import numpy as np
import pytest
from conftest import TINY, write_yaml
from optuna.samplers import TPESampler
from optuna.trial import FrozenTrial, TrialState

from pipeline import tune
from pipeline.config import Settings, load_settings
from pipeline.recipe import load_recipe
from pipeline.task import load_data


@pytest.fixture
def settings(arrays: Path, params: dict[str, Any]) -> Settings:
    params["tune"] = {"trials": 2, "rows": 100, "epochs": 1}
    write_yaml(arrays / "params.yaml", params)
    return load_settings()


def trials(study: tune.Study) -> list[tuple[Any, ...]]:
    return [(tuple(each.params.items()), each.value) for each in tune.finished(study, 99)]


def test_a_study_is_resumable_and_exact(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    data = load_data()
    whole = tune.open_study(settings, "tiny", data)
    tune.run_trials(settings, whole, None)
    assert len(trials(whole)) == 2
    few = tune.decide(whole, tune.finished(whole, 1))  # as if no more had been asked for
    assert (few["trials"], few["taken"]) == (1, False)
    assert whole.trials.trials[0].params == {"layers.4.Dropout.rate": 0.1}  # the recipe's own first

    monkeypatch.setattr(tune, "CACHE", Path("other"))  # the same study, elsewhere
    tune.open_study(settings, "tiny", data).trials.ask()  # killed in its first trial
    study = tune.open_study(settings, "tiny", data)
    cut = settings.model_copy(update={"tune": settings.tune.model_copy(update={"trials": 1})})
    tune.run_trials(cut, study, None)
    study.trials.sampler = TPESampler(seed=settings.seed * 100_003 + 1)
    study.trials.ask(study.space)  # as a kill leaves it: drawn, and running
    study = tune.open_study(settings, "tiny", data)
    states = [trial.state for trial in study.trials.trials]
    assert states == [TrialState.FAIL, TrialState.COMPLETE, TrialState.FAIL]
    study.trials.ask()  # and before it was drawn
    study = tune.open_study(settings, "tiny", data)
    tune.run_trials(settings, study, None)
    assert trials(study) == trials(whole)
    tune.run_trials(settings, study, None)  # 2 in all, not 2 more
    assert trials(study) == trials(whole)


def test_the_recipes_own_values_stand_unless_beaten_by_more_than_noise(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    study = tune.open_study(settings, "tiny", load_data())
    tune.run_trials(settings, study, None)
    own = tune.own_values(study.recipe)
    best = {"layers.4.Dropout.rate": 0.33}

    def outcome(gained: int) -> dict[str, Any]:
        def correct(_: object, values: dict[str, Any]) -> np.ndarray:
            return np.arange(100) < (80 if values == own else 80 + gained)

        monkeypatch.setattr(tune.Study, "correct", correct)
        monkeypatch.setattr(FrozenTrial, "params", best)
        return tune.decide(study, tune.finished(study, 2))

    assert outcome(gained=3) | {"own": 0, "best": 0} == {
        "values": {}, "taken": False, "own": 0, "best": 0, "p_value": 0.125, "rows": 100, "trials": 2
    }  # fmt: skip
    taken = outcome(gained=8)
    assert taken["taken"]
    assert taken["values"] == best
    assert taken["p_value"] == pytest.approx(1 / 2**8, abs=1e-5)


def test_a_changed_space_is_another_study(settings: Settings) -> None:
    data = load_data()
    before = tune.open_study(settings, "tiny", data).key
    wider = TINY | {"search": {"layers.4.Dropout.rate": {"float": {"low": 0.0, "high": 0.9}}}}
    write_yaml(Path("experiments/recipes/tiny.yaml"), wider)
    assert tune.open_study(settings, "tiny", data).key != before


def test_every_kind_of_search_is_tried(settings: Settings) -> None:
    search = {
        "batch_size": {"categorical": [16, 64]},
        "layers.0.Conv2D.filters": {"int": {"low": 4, "high": 8, "step": 4}},
        "optimizer.AdamW.learning_rate.CosineDecay.warmup_target": {
            "float": {"low": 0.001, "high": 0.1, "log": True}
        },
    }
    write_yaml(Path("experiments/recipes/tiny.yaml"), TINY | {"search": search, "batch_size": 16})
    assert load_recipe("tiny").search
    outcome = tune.tune(settings, "tiny", load_data())
    assert outcome["trials"] == 2
    assert set(outcome["best"]["values"]) == set(search)


def test_without_trials_or_a_space_nothing_is_tuned(settings: Settings) -> None:
    none = settings.model_copy(update={"tune": settings.tune.model_copy(update={"trials": 0})})
    assert tune.tune(none, "tiny", load_data()) == {"values": {}, "taken": False}
