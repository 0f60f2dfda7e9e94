"""`make report`: the run's whole story as one HTML page, experiments/report.html."""

import base64
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined

from pipeline.advice import advice
from pipeline.comparisons import earlier_runs, published, sent, verdict
from pipeline.config import Settings, load_settings
from pipeline.console import UserError, duration, run_command, say
from pipeline.facts import Run, changed_settings, load_run, recipes
from pipeline.files import AGAIN, BLENDED, TRAINED, read_json, write_text
from pipeline.revision import git_state, stale_stages
from pipeline.stage import stage_seconds

REPORT = Path("experiments/report.html")
MOST_TRAINED = 8  # recipes whose own pictures are shown, the heaviest: the page stays small
PARTS = ("data", "training", "predictions")


def embedded(path: Path) -> str:
    """A picture as a data: address, so that the page needs no other file.

    Raises:
        UserError: it is missing or not a PNG file.
    """
    try:
        content = path.read_bytes()
    except OSError:
        raise UserError(f"{path} is missing; `dvc repro` makes it") from None
    if not content.startswith(b"\x89PNG"):
        raise UserError(f"{path} is not a PNG picture; {AGAIN}")
    return "data:image/png;base64," + base64.b64encode(content).decode()


def pictures(run: Run) -> dict[str, list[dict[str, str]]]:
    """The pictures of each part of the page, in order: title, caption, source."""
    parts: dict[str, list[dict[str, str]]] = {part: [] for part in PARTS}
    listed = BLENDED / "pictures.json"
    for each in read_json(listed):
        try:
            shown = {key: each[key] for key in ("title", "caption")}
            parts[each["about"]].append(shown | {"source": embedded(BLENDED / each["file"])})
        except (KeyError, TypeError):
            raise UserError(f"{listed} is damaged; {AGAIN}") from None
    heaviest = sorted(run.members, key=lambda name: -run.members[name]["weight"])
    for name in heaviest[:MOST_TRAINED]:
        parts["training"] += [
            {
                "title": f"{name}: curves",
                "caption": "Training accuracy is on augmented images; validation on up to 2,000 "
                "rows of each fold, which changes nothing. The band holds every fold.",
                "source": embedded(TRAINED / name / "curves.png"),
            },
            {
                "title": f"{name}: augmentation",
                "caption": "In the first column the image, then what the network may see of it.",
                "source": embedded(TRAINED / name / "augmented.png"),
            },
        ]
    return parts


def render(run: Run) -> str:
    """The page, as HTML. What it is told is escaped: descriptions and messages are anyone's."""
    ours = {f"train@{name}" for name in run.settings.recipes}
    stale = [name for name in stale_stages() if "@" not in name or name in ours]
    earlier = earlier_runs(run)
    context: dict[str, Any] = {
        "run": run,
        "settings": run.settings,
        "duration": duration,
        "verdict": verdict(*run.gap) if run.gap else None,
        "made": f"{datetime.now(UTC):%Y-%m-%d %H:%M} UTC",
        "git": git_state(),
        "stale": stale,
        "changed": changed_settings(),
        "recipes": recipes(run),
        "seconds": stage_seconds(run.settings.recipes),
        "earlier": earlier,
        "last": next((each for each in earlier if not each["same"]), None),
        "sent": sent(),
        "published": published(run),
        "advice": advice(run),
        "pictures": pictures(run),
    }
    # StrictUndefined: a name that the template has and the code has not is an error, not a gap.
    environment = Environment(
        loader=FileSystemLoader(Path(__file__).parent),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    return environment.get_template("report.html.j2").render(context)


def log(settings: Settings, run: Run) -> None:
    """Log the page to the MLflow run of the submission it is about."""
    from pipeline.mlflow_store import add_to_run, find_submission  # seconds of MLflow

    add_to_run(find_submission(settings, run.sha256), file=REPORT)


def main() -> None:
    """Write the last run's report: one page, needing no other file and no network."""
    settings = load_settings()
    run = load_run(settings)
    write_text(REPORT, render(run))
    log(settings, run)
    say(f"the run's report: {REPORT}, {REPORT.stat().st_size / 1e6:.1f} MB, one file to pass on")


if __name__ == "__main__":
    run_command(main)
