"""`make take NAME=wider`: a result's settings, recipes and files in place of the present ones."""

from typing import Annotated

import typer

from pipeline.base.console import say
from pipeline.base.settings import load_settings
from pipeline.provenance.history import place, previous, result
from pipeline.provenance.snapshot import need_git
from pipeline.report.summary import print_summary
from pipeline.runs.place import alone, put


def main(
    name: Annotated[str, typer.Argument(help="A result, as `make compare` lists it.")],
) -> None:
    """Put a result in place: params.yaml, its recipes, and every file of its run."""
    need_git()
    found = result(name)
    with alone():
        put(found)
        place(found)
    print_summary(load_settings())
    way_back = "; `make back` returns to what was" if previous() else ""  # the first has none
    say(f"{name} is in place{way_back}")
