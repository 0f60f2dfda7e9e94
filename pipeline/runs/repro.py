"""`make repro`: every stage that is out of date, its result kept; then the score and the report."""

from pipeline.base.console import say
from pipeline.base.paths import EXPERIMENT
from pipeline.base.settings import Settings, load_settings
from pipeline.health import check

INTERRUPTED = 130  # the exit code after Ctrl-C


def run_stages(settings: Settings, stages: list[str]) -> int:
    """Say what is to do and how long it takes, and do it; the exit code, see `dvc.reproduce`."""
    from pipeline.health.plan import any_trained, plan, show
    from pipeline.provenance import dvc

    if "preprocess" in stages and any_trained():  # of an interrupted run: with the data they count
        code = dvc.reproduce(["preprocess"])
        if code:
            return code
        stages = dvc.pending()
    if stages:
        show(plan(settings, stages))
    return dvc.reproduce()


def main() -> int:
    """Run every stage that is out of date, keep the result, and say what came out."""
    check.main()
    # Imported here: they take seconds, and a wrong setting or recipe is told before.
    from pipeline.provenance import dvc
    from pipeline.provenance.history import record, record_run
    from pipeline.report import page
    from pipeline.report.summary import print_next, print_summary
    from pipeline.runs.announce import announce
    from pipeline.runs.place import alone

    settings, began = load_settings(), None
    with alone():
        stages = dvc.pending()
        if stages:
            began = announce(settings)
            code = run_stages(settings, stages)
            if code:
                if code == INTERRUPTED:
                    say("interrupted; finished work is kept: the same command continues it")
                return code
        else:
            say("nothing to do: the result here is of this code and these settings")
            print_summary(settings)
        result = record(EXPERIMENT, began) if EXPERIMENT else record_run(began)
    if stages or not page.REPORT.exists():
        page.main()
    say(f"kept as {result.name}: `make compare` lists what was kept")
    print_next(settings)
    return 0
