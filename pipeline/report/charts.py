"""Small line charts as SVG text: drawn by the browser, sharp at any size, values shown on hover."""

import math
from html import escape

COLOURS = ("#2b6ca3", "#c8452f", "#3a923a", "#8a63b3", "#7a7a7a")
WIDTH, HEIGHT, LEFT, BOTTOM, TOP, RIGHT = 640, 260, 64, 34, 12, 12
Series = dict[str, list[tuple[float, float]]]


def line_chart(series: Series, x_label: str, y_label: str, form: str, log: bool = False) -> str:
    """A chart of lines, one a name; a point tells its values when the pointer is on it.

    Args:
        series: the points (x, y) of each line.
        x_label: what x is.
        y_label: what y is.
        form: how a value of y is written, such as `.2%`.
        log: whether y is drawn on a logarithmic scale; values of 0 or less are left out.
    """
    kept = {name: [(x, y) for x, y in each if not log or y > 0] for name, each in series.items()}
    points = [point for each in kept.values() for point in each]
    if not points:
        return ""
    scale = math.log10 if log else float
    xs, ys = [x for x, _ in points], [scale(y) for _, y in points]
    place_x = _placing(min(xs), max(xs), LEFT, WIDTH - RIGHT)
    place_y = _placing(min(ys), max(ys), HEIGHT - BOTTOM, TOP)
    parts = [f'<svg viewBox="0 0 {WIDTH} {HEIGHT}" role="img" aria-label="{escape(y_label)}">']
    for share in (0, 0.5, 1):
        at = min(ys) + share * (max(ys) - min(ys))
        value = 10**at if log else at
        y = place_y(at)
        parts.append(f'<line x1="{LEFT}" x2="{WIDTH - RIGHT}" y1="{y:.1f}" y2="{y:.1f}"/>')
        parts.append(f'<text x="{LEFT - 6}" y="{y + 4:.1f}" class="end">{value:{form}}</text>')
    for x in sorted({min(xs), max(xs)}):
        parts.append(f'<text x="{place_x(x):.1f}" y="{HEIGHT - 14}" class="mid">{x:g}</text>')
    parts.append(f'<text x="{WIDTH / 2}" y="{HEIGHT - 2}" class="mid">{escape(x_label)}</text>')
    for colour, (name, each) in zip(_colours(len(kept)), kept.items(), strict=True):
        placed = [(place_x(x), place_y(scale(y))) for x, y in each]
        path = " ".join(f"{x:.1f},{y:.1f}" for x, y in placed)
        parts.append(f'<polyline points="{path}" stroke="{colour}"/>')
        for (x, y), (px, py) in zip(each, placed, strict=True):
            told = escape(f"{name}, {x_label} {x:g}: {y:{form}}")
            parts.append(
                f'<circle cx="{px:.1f}" cy="{py:.1f}" r="4" fill="{colour}">'
                f"<title>{told}</title></circle>"
            )
    return "".join([*parts, "</svg>"])


def legend(names: list[str]) -> list[tuple[str, str]]:
    """The colour of each line, and its name."""
    return list(zip(_colours(len(names)), names, strict=True))


def _colours(count: int) -> list[str]:
    return [COLOURS[at % len(COLOURS)] for at in range(count)]


def _placing(low: float, high: float, first: float, last: float):  # type: ignore[no-untyped-def]
    """Where a value of low .. high is drawn, between two places."""
    span = (high - low) or 1.0
    return lambda value: first + (value - low) / span * (last - first)
