"""`python -m pipeline predict three.png test.csv`: labels, by the result in place or another."""

from pathlib import Path
from typing import Annotated

import numpy as np
import typer
from rich.table import Table

from pipeline.base.console import console, say
from pipeline.base.errors import UserError
from pipeline.data.csv_files import read_bytes, write_csv
from pipeline.runs.members import Networks, folder_of, load_members
from pipeline.runs.pictures import read_picture

MOST = 20  # rows shown of a CSV file


def main(
    files: Annotated[list[Path], typer.Argument(help="Pictures, or CSV files like test.csv.")],
    name: Annotated[str, typer.Option(help="An experiment; else what is in place.")] = "",
    out: Annotated[Path | None, typer.Option(help="Write the labels to this CSV file.")] = None,
) -> None:
    """Label pictures of digits, or the rows of a CSV file of pixels."""
    settings, members = load_members(folder_of(name))
    competition = settings.competition
    images, names = [], []
    for file in files:
        if file.suffix == ".csv":
            pixels = read_bytes(file, competition.pixel_columns)
            images.append(pixels.reshape(-1, *competition.image_shape))
            names += [f"{file.name}, row {row}" for row in range(1, len(pixels) + 1)]
        else:
            images.append(read_picture(file, competition.image_shape)[None])
            names.append(file.name)
    said = Networks(members).probabilities(np.concatenate(images))
    labels = said["blend"].argmax(axis=1)
    table = Table("", "label", "probability", *(each for each in said if len(said) > 2), box=None)
    for at, what in list(enumerate(names))[:MOST]:
        alone = (f"{each[at].argmax()}: {each[at].max():.3f}" for each in said.values())
        row = [what, str(labels[at]), f"{said['blend'][at].max():.3f}"]
        table.add_row(*row, *(alone if len(said) > 2 else ()))
    console.print(table)
    if len(names) > MOST:
        say(f"and {len(names) - MOST:,} more; --out labels.csv writes them all")
    if out is not None:
        if out.exists():
            raise UserError(f"{out} is there already; name another file")
        columns = (competition.id_column, competition.prediction_column)
        write_csv(out, {columns[0]: np.arange(1, len(labels) + 1), columns[1]: labels})
        say(f"wrote {len(labels):,} labels to {out}")
