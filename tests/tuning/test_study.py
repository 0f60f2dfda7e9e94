import os
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import optuna
import pytest
import yaml
from optuna.distributions import BaseDistribution, IntDistribution
from optuna.samplers import TPESampler
from optuna.trial import TrialState, create_trial

from pipeline import tune
from pipeline.base.paths import CACHE, STUDIES, TUNED
from pipeline.base.settings import Settings, load_settings
from pipeline.data.arrays import load_data
from pipeline.data.results import Tuned
from pipeline.data.rows import choosing_rows, judged_rows, tuning_rows
from pipeline.evaluation.metrics import METRICS
from pipeline.training.side_by_side import Team, workers
from pipeline.tuning import opening
from pipeline.tuning import study as studies
from pipeline.tuning.confirm import candidates
from pipeline.tuning.opening import open_study
from pipeline.tuning.pruning import CURVES, watcher
from pipeline.tuning.study import Study
from pipeline.tuning.trials import run_trials
from support.project import REPOSITORY, TINY, write_yaml

RATE = "layers.4.Dropout.rate"

SCORE = {"score": 0.9, "low": 0.8, "high": 1.0}
LOST = {
    "trial": 7, "values": {}, "score": 0.9, "own_score": 0.9, "rows": 9, "p_value": 0.5,
    "beats": False,
}  # fmt: skip


def opened(*arguments: Any) -> Study:
    """A study after the process that had it open has ended."""
    with open_study(*arguments) as study:
        return study


@pytest.fixture
def settings(arrays: Path) -> Settings:
    return load_settings()


def trials(study: Study) -> list[tuple[Any, ...]]:
    return [(tuple(each.params.items()), each.value) for each in study.finished(99)]


def run(settings: Settings, study: Study, count: int) -> None:
    """Continue a study until it has `count` trials."""
    with Team(workers(settings)) as team:
        run_trials(settings.changed(tune={"trials": count}), study, team, lambda *_: None)


def test_a_study_is_resumable_and_exact(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    data = load_data()
    whole = opened(settings, "tiny", data)
    run(settings, whole, 2)
    assert len(trials(whole)) == 2
    assert whole.optuna.trials[0].params == {RATE: 0.1}  # the recipe's own first
    assert whole.optuna.trials[1].params != {RATE: 0.1}

    monkeypatch.setattr(opening, "CACHE", Path("other"))  # the same study, elsewhere
    begun = opened(settings, "tiny", data)
    begun.ask(0)  # killed in its first trial
    study = opened(settings, "tiny", data)
    study.optuna.sampler = TPESampler(seed=settings.seed * 100_003 + 1)
    study.optuna.ask({RATE: optuna.distributions.FloatDistribution(0.0, 0.5)})  # drawn, and running
    study = opened(settings, "tiny", data)
    assert {trial.state for trial in study.optuna.trials} == {TrialState.FAIL}
    study.optuna.ask()  # and before it was drawn
    study = opened(settings, "tiny", data)
    run(settings, study, 2)
    assert trials(study) == trials(whole)
    run(settings, study, 2)  # 2 in all, not 2 more
    assert trials(study) == trials(whole)


@pytest.mark.slow
def test_a_study_is_the_same_whatever_is_trained_beside_it_or_killed(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = settings.changed(tune={"batch": 3})
    data = load_data()
    alone = opened(settings, "tiny", data)
    run(settings, alone, 4)
    monkeypatch.setattr(opening, "CACHE", Path("other"))
    study = opened(settings, "tiny", data)
    told = study.optuna.tell
    count = iter(range(99))

    def killed(*given: Any, **named: Any) -> Any:  # in its first batch, with one of three told
        if next(count) == 1:
            raise KeyboardInterrupt
        return told(*given, **named)

    with monkeypatch.context() as patch:
        patch.setattr(study.optuna, "tell", killed)
        with pytest.raises(KeyboardInterrupt):
            run(settings, study, 4)
    study = opened(settings, "tiny", data)
    assert len(trials(study)) == 1
    assert set(study.begun) == {1, 2}  # what they had drawn, before one was told
    run(settings.changed(compute={"workers": 2}), study, 4)
    assert trials(study) == trials(alone)


def test_the_rows_that_choose_and_those_that_judge(settings: Settings) -> None:
    data = load_data()
    labels, folds = data.train_labels, data.folds
    half = choosing_rows(settings, labels, folds)
    assert len(half) == 100
    assert set(tuning_rows(settings, labels, folds)) <= set(half)
    assert judged_rows(settings, labels, folds, tuned=False).all()
    judged = judged_rows(settings, labels, folds, tuned=True)
    assert set(np.flatnonzero(judged)) == set(range(200)) - set(half)


@pytest.mark.slow
@pytest.mark.parametrize(("dropout", "taken"), [(0.0, True), (0.1, False)])
def test_values_are_taken_only_if_they_beat_the_recipe_at_full_length(
    settings: Settings, monkeypatch: pytest.MonkeyPatch, dropout: float, taken: bool
) -> None:
    # A recipe so bad that leaving out its dropout must show.
    layers = [*TINY["layers"][:4], {"Dropout": {"rate": 0.99 if taken else 0.0}}]
    search = {RATE: {"categorical": [0.99 if taken else 0.0, dropout]}}
    write_yaml(Path("experiments/recipes/tiny.yaml"), TINY | {"layers": layers, "search": search})
    more = {"trials": 3, "epochs": 6}
    settings = settings.changed(tune=more)
    settings = settings.changed(train={"epochs": 6})
    tune.tune(settings, "tiny", TUNED)
    written = yaml.safe_load((TUNED / "tiny.yaml").read_text())
    assert written["taken"] is taken
    assert written["values"] == ({RATE: dropout} if taken else {})
    assert written["trials"] == 3
    assert written["best"]["low"] < written["best"]["score"]
    assert all(each["rows"] <= 100 for each in written.get("confirmed", []))
    assert (TUNED / "tiny/history.png").stat().st_size > 5000
    assert (TUNED / "tiny/curves.png").stat().st_size > 5000


def test_a_trial_that_luck_explains_is_not_confirmed(settings: Settings) -> None:
    space: dict[str, BaseDistribution] = {"won": IntDistribution(0, 20)}
    # Rows won and none lost, one of four trials: 5 of 5 is luck once in 32, 6 of 6 once in 64.
    trials = [
        create_trial(value=won / 100, params={"won": won}, distributions=space)
        for won in (5, 6, 12, 8)
    ]
    study: Any = SimpleNamespace(
        recipe=SimpleNamespace(own_choices=dict),
        predictions=lambda choices: np.eye(2)[(np.arange(100) < choices.get("won", 0)).astype(int)],
        metric=METRICS["accuracy"],
        labels=np.ones(100, int),
    )
    for confirmed, taken in ((1, [12]), (2, [12, 8]), (4, [12, 8])):
        changed = settings.changed(tune={"confirm": confirmed})
        which = candidates(changed, study, trials)
        assert [trial.params["won"] for trial in which] == taken
    assert [trial.params["won"] for trial in candidates(changed, study, trials[1:2])] == [6]


def test_a_changed_space_says_so_and_is_another_study(
    settings: Settings, capsys: pytest.CaptureFixture[str]
) -> None:
    data = load_data()
    before = opened(settings, "tiny", data).key
    assert opened(settings, "tiny", data).key == before
    assert capsys.readouterr().out == ""
    wider = TINY | {"search": {RATE: {"float": {"low": 0.0, "high": 0.9}}}}
    write_yaml(Path("experiments/recipes/tiny.yaml"), wider)
    assert opened(settings, "tiny", data).key != before
    assert "because the search space changed" in capsys.readouterr().out


@pytest.mark.slow
def test_a_committed_study_of_the_same_space_is_begun_with(settings: Settings) -> None:
    write_yaml(STUDIES / "tiny.yaml", {"best": SCORE | {"choices": {RATE: 0.25}}})
    study = opened(settings, "tiny", load_data())
    assert study.first == [{RATE: 0.1}, {RATE: 0.25}]
    run(settings, study, 2)
    assert [each.params for each in study.finished(9)] == study.first
    lost = {
        "best": SCORE | {"choices": {RATE: 0.25}, "trial": 7},
        "confirmed": [LOST],
    }
    write_yaml(STUDIES / "tiny.yaml", lost)
    assert opened(settings, "tiny", load_data()).first == [{RATE: 0.1}]
    write_yaml(STUDIES / "tiny.yaml", {"best": SCORE | {"choices": {"batch_size": 64}}})
    assert opened(settings, "tiny", load_data()).first == [{RATE: 0.1}]


@pytest.mark.slow
def test_a_long_study_goes_on_where_it_ended(settings: Settings) -> None:
    for trials in (2, 3):
        more = settings.changed(tune={"trials": trials})
        tune.tune(more, "tiny", STUDIES)
        written = yaml.safe_load((STUDIES / "tiny.yaml").read_text())
        assert (written["trials"], written["first"]) == (trials, [{RATE: 0.1}])
    assert len(list((CACHE / "tune").glob("tiny-*.log"))) == 1


@pytest.mark.slow
def test_blocks_conditions_and_every_kind_are_tried(settings: Settings) -> None:
    search = {
        "batch_size": {"categorical": [16, 64]},
        "layers.0.Conv2D.filters": {"int": {"low": 4, "high": 8, "step": 4}},
        "optimizer.AdamW.learning_rate.CosineDecay.warmup_target": {
            "float": {"low": 0.001, "high": 0.1, "log": True}
        },
        "layers.4": {
            "categorical": {"plain": {"Dropout": {"rate": 0.1}}, "gauss": {"GaussianDropout": {"rate": 0.3}}}
        },
        RATE: {"float": {"low": 0.0, "high": 0.5}, "when": {"layers.4": ["plain"]}},
        "layers.4.GaussianDropout.rate": {
            "float": {"low": 0.2, "high": 0.5}, "when": {"layers.4": ["gauss"]}
        },
    }  # fmt: skip
    write_yaml(Path("experiments/recipes/tiny.yaml"), TINY | {"search": search, "batch_size": 16})
    study = opened(settings, "tiny", load_data())
    run(settings, study, 6)
    tried = [trial.params for trial in study.finished(99)]
    assert {params["layers.4"] for params in tried} == {"plain", "gauss"}
    for params in tried:
        assert (RATE in params) == (params["layers.4"] == "plain")
        ((layer, given),) = study.tasks_of(params)[0].recipe.layers[4].items()
        assert layer == {"plain": "Dropout", "gauss": "GaussianDropout"}[params["layers.4"]]
        assert given["rate"] == params[f"layers.4.{layer}.rate"]


def finished_trial(*curve: float, fold: int = 0) -> optuna.trial.FrozenTrial:
    return optuna.trial.create_trial(
        value=curve[-1],
        user_attrs={CURVES: {str(fold): list(curve)}},
        intermediate_values={fold: curve[-1]},
    )


def history(*curve: float) -> list[dict[str, float]]:
    return [{"val_accuracy": value} for value in curve]


def test_a_fold_behind_the_median_of_earlier_trials_is_ended() -> None:
    earlier = [finished_trial(0.5, 0.7 + 0.01 * each, 0.9, 0.9) for each in range(6)]
    watch = watcher("median", 4, 0, earlier)
    watch(history(0.1))  # warm-up
    with pytest.raises(optuna.TrialPruned):
        watch(history(0.1, 0.2))
    with pytest.raises(optuna.TrialPruned):  # all of it at once, from the cache
        watcher("median", 4, 0, earlier)(history(0.1, 0.2, 0.3, 0.95))
    watcher("median", 4, 0, earlier)(history(0.1, 0.95, 0.95, 0.95))
    rising = [finished_trial(0.5, 0.7, 0.9, 0.99)] * 6
    watcher("median", 4, 0, rising)(history(0.1, 0.7, 0.9, 0.9))  # whole: not for it to judge
    watcher("median", 4, 1, earlier)(history(0.1, 0.1, 0.1, 0.1))  # another fold, nothing known
    watcher("none", 4, 0, earlier)(history(0.1, 0.1, 0.1, 0.1))


@pytest.mark.slow
def test_a_trial_behind_is_pruned_and_the_study_goes_on(settings: Settings) -> None:
    search = {RATE: {"categorical": [0.1, 0.99]}}
    write_yaml(Path("experiments/recipes/tiny.yaml"), TINY | {"search": search})
    more = {"trials": 12, "epochs": 6, "pruner": "median"}
    settings = settings.changed(tune=more)
    study = opened(settings, "tiny", load_data())
    run(settings, study, 12)
    ended = study.finished(12)
    assert {trial.params[RATE] for trial in ended if studies.pruned(trial)} == {0.99}
    assert study.optuna.best_trial.params == {RATE: 0.1}


def test_without_trials_nothing_is_tuned_or_imported_and_no_older_picture_stays(
    settings: Settings,
) -> None:
    params = yaml.safe_load(Path("params.yaml").read_text())
    params["tune"]["trials"] = 0
    write_yaml(Path("params.yaml"), params)
    (TUNED / "tiny").mkdir(parents=True)
    (TUNED / "tiny/history.png").write_bytes(b"of a study before")
    code = "import sys, pipeline.tune as t; t.main('tiny'); assert 'tensorflow' not in sys.modules"
    subprocess.run(
        [sys.executable, "-c", code], check=True, env=os.environ | {"PYTHONPATH": str(REPOSITORY)}
    )
    assert Tuned.read("tiny") == Tuned()
    assert sorted(path.name for path in TUNED.rglob("*")) == ["tiny", "tiny.yaml"]


@pytest.mark.slow
def test_a_damaged_study_is_noticed_and_begun_anew(
    settings: Settings, capsys: pytest.CaptureFixture[str]
) -> None:
    study = opened(settings, "tiny", load_data())
    run(settings, study, 2)
    expected, content = trials(study), bytearray(study.path.read_bytes())
    content[content.index(b".", content.index(b'"values"')) + 1] ^= 1  # a digit becomes another
    study.path.write_bytes(content)
    capsys.readouterr()
    again = opened(settings, "tiny", load_data())
    assert "is damaged; starting the study again" in capsys.readouterr().err
    run(settings, again, 2)
    assert trials(again) == expected
