"""The outcomes as tables: for the terminal, and in docs/reliability.md."""

from collections import Counter
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from support.project import REPOSITORY

DOCS = REPOSITORY / "docs/reliability.md"
MARKS = ("<!-- make chaos -->", "<!-- end of make chaos -->")
Rows = list[dict[str, Any]]


def counted(rows: Rows, key: str) -> list[tuple[str, int, int, int]]:
    """For each value of a column: the value, tried, survived, skipped."""
    values = list(dict.fromkeys(row.get(key, "") for row in rows))
    outcomes = Counter((row.get(key, ""), row["outcome"]) for row in rows)
    return [
        (value, sum(n for (each, _), n in outcomes.items() if each == value),
         outcomes[value, "survived"], outcomes[value, "skipped"])
        for value in values
    ]  # fmt: skip


def tables(rows: Rows) -> list[tuple[str, list[tuple[str, int, int, int]]]]:
    """By kind; and the kills by stage, by signal, by what was hit and by moment."""
    kills = [row for row in rows if row["kind"] == "kills"]
    found = [("kind", counted(rows, "kind"))]
    for key in ("stage", "signal", "victim", "moment") if kills else ():
        found.append((f"kills by {key}", sorted(counted(kills, key))))
    return found


def about_kills(rows: Rows) -> str:
    """What the kills came to, in a line."""
    kills = [row for row in rows if row["kind"] == "kills"]
    if not kills:
        return ""
    most = max(row.get("repeated", 0) for row in kills)
    late = sum(row.get("hit") == "too late" for row in kills)
    waited = sum(bool(row.get("waited")) for row in kills)
    return (
        f"Epochs of a fold trained twice after a kill, at the most: {most}. Kills that came too "
        f"late, after the stage had ended: {late}. Reruns that waited for an orphan: {waited}."
    )


def show(rows: Rows) -> None:
    """Print the tables."""
    console = Console(highlight=False, soft_wrap=True)
    for title, lines in tables(rows):
        table = Table(title, "tried", "survived", "skipped", box=None)
        for value, *numbers in lines:
            table.add_row(value, *map(str, numbers))
        console.print(table)
    console.print(about_kills(rows))


def write(rows: Rows, seed: int, machine: str) -> None:
    """Put the tables between the marks of docs/reliability.md."""
    took = sum(row["seconds"] for row in rows)
    parts = [f"Seed {seed}, {len(rows)} experiments, {took / 60:.0f} minutes, on {machine}.", ""]
    for title, lines in tables(rows):
        parts += [f"| {title} | tried | survived | skipped |", "|---|---|---|---|"]
        parts += [f"| {value} | {' | '.join(map(str, numbers))} |" for value, *numbers in lines]
        parts += [""]
    parts += [about_kills(rows)]
    for heading, outcome in (("Failed", "failed"), ("Skipped", "skipped")):
        such = [row for row in rows if row["outcome"] == outcome]
        parts += ["", f"{heading}:", ""] * bool(such)
        parts += [f"- `{row['name']}`: {_line(row['said'])}" for row in such]
    text = DOCS.read_text()
    before, rest = text.split(MARKS[0])
    after = rest.split(MARKS[1])[1]
    DOCS.write_text(f"{before}{MARKS[0]}\n{chr(10).join(parts).strip()}\n{MARKS[1]}{after}")


def _line(said: str) -> str:
    """The last line of what was said, without the machine's own paths."""
    line = (said.strip().splitlines() or [""])[-1]
    return line.replace(str(Path.cwd()), ".")[:200]
