"""`make back`: the result before the present one, its settings and files, in place again."""

from pipeline.base.console import say
from pipeline.base.errors import UserError
from pipeline.base.settings import load_settings
from pipeline.provenance.history import current, in_place, previous, step_back
from pipeline.report.summary import print_summary
from pipeline.runs.place import alone, put


def main() -> None:
    """Return to the last result; if it is in place already, to the one before it."""
    with alone():
        found = current()
        if found is not None and not in_place(found):
            put(found)  # a run that was not finished, or settings that were changed since
        else:
            found = previous()
            if found is None:
                raise UserError("there is no result before this one; `make compare` lists all")
            put(found)
            step_back()
    print_summary(load_settings())
    say(f"{found.name} is in place again; `make compare` lists all results")
