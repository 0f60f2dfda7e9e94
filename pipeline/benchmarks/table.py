"""experiments/benchmark.csv, and the same as a table in docs/benchmarks.md."""

import re
from pathlib import Path
from typing import Any

import pandas as pd

from pipeline.base.files import replacing, write_text

FILE, PAGE = Path("experiments/benchmark.csv"), Path("docs/benchmarks.md")
START, END = "<!-- make benchmark -->", "<!-- end of make benchmark -->"
SCORED = [
    "recipe",
    "seeds",
    "networks",
    "parameters",
    *(f"published_{kind}" for kind in ("validation", "test", "leaderboard")),
    *(f"{kind}{part}" for kind in ("validation", "test", "leaderboard") for part in ("", "_std")),
    "epochs",
    "epoch_seconds",
    "seconds",
    "remark",
]
TIMED = [
    "images_per_second",
    "stock_images_per_second",
    "speedup",
    "ceiling_images_per_second",
    "of_ceiling",
]


def write_tables(path: Path, row: dict[str, Any]) -> None:
    """Put a recipe's row into the CSV file and the page, replacing the values it has."""
    rows: dict[str, Any] = {row["recipe"]: row}
    if path.exists():
        for old in pd.read_csv(path).to_dict("records"):
            name = str(old["recipe"])
            rows[name] = old | rows.get(name, {})
    table = pd.DataFrame([rows[name] for name in sorted(rows)]).reindex(columns=[*SCORED, *TIMED])
    with replacing(path) as temporary:
        table.round(6).to_csv(temporary, index=False, lineterminator="\n")
    text = PAGE.read_text() if PAGE.exists() else ""
    if START in text and END in text:
        before, rest = text.split(START, 1)
        after = rest.split(END, 1)[1]
        write_text(PAGE, f"{before}{START}\n{markdown(table)}\n{END}{after}")


def markdown(table: pd.DataFrame) -> str:
    """The table in markdown."""
    lines = [
        "| recipe | published | ours, the same | reached | leaderboard | parameters | an epoch "
        "| in all | images/s | images/s, stock Keras | of the ceiling |",
        "|---|---|---|---|---|---|---|---|---|---|---|",
    ]
    lines += [_line(row) for row in table.to_dict("records")]
    return "\n".join(lines)


def _line(row: Any) -> str:
    kinds = [
        kind for kind in ("validation", "test", "leaderboard") if pd.notna(row[f"published_{kind}"])
    ]
    published = ", ".join(f"{row[f'published_{kind}']:.5g} {kind}" for kind in kinds)
    ours = ", ".join(f"{_score(row, kind)} {kind}" for kind in kinds)
    count = f"{row['networks']:.0f} network" + ("s" if row["networks"] > 1 else "")
    seeds = "" if row["seeds"] == 1 else f", mean of {row['seeds']:.0f} seeds"
    cells = [
        f"`{row['recipe']}`",
        published or "-",
        f"{ours or '-'} ({count}{seeds})",
        _reached(row, kinds),
        _score(row, "leaderboard"),
        f"{row['parameters']:,.0f}",
        f"{row['epoch_seconds']:.1f} s",
        f"{row['seconds'] / 60:.1f} min",
        f"{row['images_per_second']:,.0f}",
        f"{row['stock_images_per_second']:,.0f}; ours {row['speedup']:.1f} times as fast",
        f"{row['of_ceiling']:.0%}",
    ]
    known = ["-" if re.search(r"\bnan\b", cell) else cell for cell in cells]
    return "| " + " | ".join(known) + " |"


def _reached(row: Any, kinds: list[str]) -> str:
    """Whether ours is what was published, or why not."""
    if not kinds or any(pd.isna(row[kind]) for kind in kinds):
        return "-"
    below = any(row[kind] < row[f"published_{kind}"] for kind in kinds)
    remark = row.get("remark")
    return "yes" if not below else f"no: {remark}" if pd.notna(remark) and remark else "no"


def _score(row: Any, kind: str) -> str:
    spread = row.get(f"{kind}_std")
    return f"{row[kind]:.5f}" + (f" ± {spread:.5f}" if pd.notna(spread) else "")
