"""Step 1: the competition's data as CSV files, data/raw/{train,test,sample_submission}.csv."""

import numpy as np

from pipeline.base.console import say
from pipeline.base.errors import UserError
from pipeline.base.files import remove_unfinished
from pipeline.base.paths import RAW
from pipeline.base.settings import Competition, load_settings
from pipeline.data.csv_files import write_csv
from pipeline.data.embedded import deal
from pipeline.kaggle.files import fetch
from pipeline.provenance.stage import stage


def write_embedded(competition: Competition) -> None:
    """Write the three files of the competition from the digits that come with this project."""
    dealt = deal(competition.deal)

    def pixels(images: np.ndarray) -> dict[str, np.ndarray]:
        by_column = np.ascontiguousarray(images.reshape(len(images), -1).T)
        if len(by_column) != len(competition.pixel_columns):
            raise UserError(
                f"params.yaml: competition.image_shape: the embedded digits are [28, 28, 1], "
                f"not {list(competition.image_shape)}"
            )
        return dict(zip(competition.pixel_columns, by_column, strict=True))

    train = {competition.label_column: dealt.train_labels} | pixels(dealt.train_images)
    write_csv(RAW / "train.csv", train)
    write_csv(RAW / "test.csv", pixels(dealt.test_images))
    ids = np.arange(1, len(dealt.test_images) + 1)
    sample = {competition.id_column: ids, competition.prediction_column: np.zeros_like(ids)}
    write_csv(RAW / "sample_submission.csv", sample)
    say(f"wrote {len(dealt.train_images):,} labelled digits and {len(ids):,} to label to {RAW}/")


def main() -> None:
    """Put the competition's train.csv, test.csv and sample_submission.csv into data/raw/."""
    settings = load_settings()
    with stage("download"):
        remove_unfinished(RAW)
        if settings.competition.source == "kaggle":
            fetch(settings)
        else:
            write_embedded(settings.competition)
