"""`python -m pipeline predict three.png test.csv`: labels, by the result in place or another."""

from pathlib import Path
from typing import Annotated

import numpy as np
import typer
from rich.table import Table

from pipeline.base.console import console, say
from pipeline.base.errors import UserError
from pipeline.base.paths import PARAMS
from pipeline.base.settings import Competition, load_settings
from pipeline.data.csv_files import read_bytes, write_csv
from pipeline.provenance.history import folder_of
from pipeline.runs.members import Networks, load_members
from pipeline.runs.pictures import read_picture

MOST = 20  # rows shown of a CSV file


def read_images(files: list[Path], competition: Competition) -> tuple[np.ndarray, list[str]]:
    """The images of pictures and CSV files, uint8 (rows, height, width, channels), and their names.

    Raises:
        UserError: a file is missing, or is not a picture or a CSV file of pixels.
    """
    images, names = [], []
    for file in files:
        if file.suffix == ".csv":
            pixels = read_bytes(file, competition.pixel_columns)
            images.append(pixels.reshape(-1, *competition.image_shape))
            names += [f"{file.name}, row {row}" for row in range(1, len(pixels) + 1)]
        else:
            images.append(read_picture(file, competition.image_shape)[None])
            names.append(file.name)
    return np.concatenate(images), names


def main(
    files: Annotated[list[Path], typer.Argument(help="Pictures, or CSV files like test.csv.")],
    name: Annotated[str, typer.Option(help="An experiment; else what is in place.")] = "",
    champion: Annotated[bool, typer.Option("--champion", help="Ask MLflow's champion.")] = False,
    out: Annotated[Path | None, typer.Option(help="Write the labels to this CSV file.")] = None,
) -> None:
    """Label pictures of digits, or the rows of a CSV file of pixels."""
    if out is not None and out.exists():
        raise UserError(f"{out} is there already; name another file")
    folder = folder_of(name) if name else Path()
    settings = load_settings(folder / PARAMS)
    competition = settings.competition
    images, names = read_images(files, competition)
    if champion:
        from pipeline.tracking.submissions import load_champion  # MLflow takes seconds

        said = {"blend": np.asarray(load_champion(settings).predict(images))}
    else:
        said = Networks(load_members(folder)).probabilities(images)
    labels, alone = said["blend"].argmax(axis=1), [each for each in said if each != "blend"]
    table = Table("", "label", "probability", *(alone if len(alone) > 1 else ()), box=None)
    for at, what in list(enumerate(names))[:MOST]:
        members = (f"{said[each][at].argmax()}: {said[each][at].max():.3f}" for each in alone)
        row = [what, str(labels[at]), f"{said['blend'][at].max():.3f}"]
        table.add_row(*row, *(members if len(alone) > 1 else ()))
    console.print(table)
    if len(names) > MOST:
        say(f"and {len(names) - MOST:,} more; --out labels.csv writes them all")
    if out is not None:
        columns = (competition.id_column, competition.prediction_column)
        write_csv(out, {columns[0]: np.arange(1, len(labels) + 1), columns[1]: labels})
        say(f"wrote {len(labels):,} labels to {out}")
