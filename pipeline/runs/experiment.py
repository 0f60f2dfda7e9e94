"""`make try`: the pipeline with some settings changed, in a folder apart; the project stays as is.

The folder, experiments/tries/<name>, is a copy of the project with its untracked recipes. It shares
DVC's cache, finished folds and MLflow's database with the project, so nothing is computed twice.
"""

import os
import re
import shlex
import shutil
import signal
import subprocess
import sys
from pathlib import Path
from typing import Annotated, Any

import typer
from ruamel.yaml.error import YAMLError

from pipeline.base.console import say
from pipeline.base.dotted import flatten, value_at
from pipeline.base.errors import UserError, did_you_mean, quoted
from pipeline.base.files import write_text
from pipeline.base.locks import locked
from pipeline.base.paths import EXPERIMENTS, PARAMS
from pipeline.base.settings import QUICK, settings_of
from pipeline.base.yaml_file import edit_yaml, parse_yaml, read_yaml
from pipeline.provenance.history import RESULTS, results
from pipeline.provenance.linked import link_cache, link_objects
from pipeline.provenance.revision import git
from pipeline.provenance.snapshot import need_git, run_git, snapshot
from pipeline.recipes.files import load_recipe

# The folders that a run needs; tests and documents stay away.
NEEDED = (
    ".dvc",
    "competitions",
    "data",
    "experiments/recipes",
    "experiments/studies",
    "pipeline",
    "submissions",
)


def parse_changes(given: list[str]) -> dict[str, Any]:
    """`["train.epochs=12", "recipes=[mine]"]` as values by dotted key.

    Raises:
        UserError: one is not a known setting and a value.
    """
    params, changes = read_yaml(PARAMS), {}
    for each in given:
        key, equals, value = each.partition("=")
        if not equals:
            raise UserError(f"{quoted(each)}: a change is a setting and a value: train.epochs=12")
        try:
            value_at(params, key)
            changes[key] = parse_yaml(value)
        except ValueError:
            hint = did_you_mean(key, flatten(params), "params.yaml lists them")
            raise UserError(f"{quoted(key)}: there is no such setting; {hint}") from None
        except YAMLError:
            raise UserError(f"{each}: {quoted(value)} is not a value") from None
    return changes


def split_changes(text: str) -> list[str]:
    """`"train.epochs=12 recipes=[a, b]"` in its parts; a list may have spaces.

    Raises:
        UserError: a quotation is not closed.
    """
    try:
        words = shlex.split(text)
    except ValueError as error:
        raise UserError(f"SET={text}: {error}") from None
    parts: list[str] = []
    for word in words:
        if parts and parts[-1].count("[") > parts[-1].count("]"):
            parts[-1] += f" {word}"
        else:
            parts.append(word)
    return parts


def changed_params(changes: dict[str, Any]) -> str:
    """The text of params.yaml with the changes; they are checked, with the recipes.

    Raises:
        UserError: a value is impossible, or a recipe wrong.
    """
    text = edit_yaml(PARAMS.read_text(), changes)
    for name in settings_of(parse_yaml(text)).recipes:
        load_recipe(name)
    return text


def make_folder(name: str, params: str) -> Path:
    """The project as it is, with other params.yaml, in a folder of its own."""
    within = git("rev-parse", "--show-prefix")
    shallow = Path(git("rev-parse", "--git-path", "shallow"))
    folder, start = EXPERIMENTS / name, snapshot(f"start of {name}")
    shutil.rmtree(folder, ignore_errors=True)
    folder.parent.mkdir(parents=True, exist_ok=True)
    run_git("init", "-q", str(folder))
    link_objects(folder)
    if shallow.exists():
        shutil.copy(shallow, folder / ".git/shallow")
    run_git("-C", str(folder), "sparse-checkout", "init", "--cone")
    run_git("-C", str(folder), "sparse-checkout", "set", *(f"{within}{each}" for each in NEEDED))
    run_git("-C", str(folder), "checkout", "-q", "--detach", start)
    project = folder / within
    write_text(project / PARAMS, params)
    link_cache(project)
    return project


def _hear_interrupts() -> None:
    """In the run's own process: it would inherit that Ctrl-C is ignored."""
    signal.signal(signal.SIGINT, signal.default_int_handler)


def experiment(name: str, changes: dict[str, Any]) -> int:
    """Run the pipeline with changed settings, and keep its result under a name; the exit code."""
    need_git()
    params = changed_params(changes)
    with locked(f"tries/{name}", f"running the experiment {name}"):
        project = make_folder(name, params)
        python = Path(sys.executable)
        given = {
            "PIPELINE_ROOT": str(Path.cwd()),
            "PIPELINE_EXPERIMENT": name,
            "PATH": f"{python.parent}{os.pathsep}{os.environ['PATH']}",
        }
        command = [str(python), "-m", "pipeline", "repro"]
        # Ctrl-C is for the run, which keeps what is finished and says so.
        before = signal.signal(signal.SIGINT, signal.SIG_IGN)
        try:
            process = subprocess.Popen(
                command, cwd=project, env=os.environ | given, preexec_fn=_hear_interrupts
            )
            code = process.wait()
        finally:
            signal.signal(signal.SIGINT, before)
        if code:
            say(f"{name} is not finished; the same command continues it, with every finished fold")
            return code
        reference = f"{RESULTS}/{name}"
        run_git("fetch", "-q", str((EXPERIMENTS / name).resolve()), f"+{reference}:{reference}")
    return 0


def main(
    name: Annotated[str, typer.Argument(help="What to call it: small letters, digits, _ or -.")],
    changes: Annotated[
        list[str] | None, typer.Argument(help="Settings, such as train.epochs=12 seed=1.")
    ] = None,
    more: Annotated[str, typer.Option("--set", help="The same, in one text.")] = "",
    replace: Annotated[bool, typer.Option(help="Also if there is a result of that name.")] = False,
) -> int:
    """Run with some settings changed, in a folder apart; the project stays as it is."""
    if not re.fullmatch(r"[a-z0-9][a-z0-9_-]*", name) or name.startswith("repro-") or name == QUICK:
        plain = "a name is small letters, digits, _ and -"
        raise UserError(f"{quoted(name)}: {plain}; repro-... and {QUICK} are taken")
    if any(each.name == name for each in results()) and not replace:
        raise UserError(f"{name} has been run; `make compare` shows it. Take another name")
    return experiment(name, parse_changes([*(changes or []), *split_changes(more)]))
