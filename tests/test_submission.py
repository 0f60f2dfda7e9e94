from pathlib import Path

import numpy as np
import pytest

from pipeline.config import load_settings
from pipeline.console import UserError
from pipeline.submission import check_submission, write_submission

SAMPLE = "ImageId,Label\n1,0\n2,0\n3,0\n"


@pytest.fixture
def sample(project: Path) -> Path:
    path = project / "sample.csv"
    path.write_text(SAMPLE)
    return path


def test_the_file_is_as_kaggle_wants_it(sample: Path) -> None:
    path = Path("submissions/submission.csv")
    competition = load_settings().competition
    write_submission(path, np.eye(10, dtype=np.float32)[[7, 0, 9]], competition)
    assert path.read_bytes() == b"ImageId,Label\n1,7\n2,0\n3,9\n"
    check_submission(path, sample, competition)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "submission.csv is empty"),
        ("1,7\n2,0\n3,9\n", "header: column 1 is '1', not 'ImageId'"),
        ("Label,ImageId\n7,1\n0,2\n9,3\n", "header: column 1 is 'Label', not 'ImageId'"),
        ("ImageId,Label\n1,7\n2,0\n", "2 rows where"),
        ("ImageId,Label\n1,7\n2,0\n3,9\n4,1\n", "4 rows where"),
        ("ImageId,Label\n1,7\n3,0\n2,9\n", "row 2, column ImageId: '3' where "),
        ("ImageId,Label\n0,7\n1,0\n2,9\n", "row 1, column ImageId: '0' where "),
        (
            "ImageId,Label\n1,7\n2,10\n3,9\n",
            "row 2, column Label: '10' is not one of the classes 0..9",
        ),
        (
            "ImageId,Label\n1,7\n2,0.0\n3,9\n",
            "row 2, column Label: '0.0' is not one of the classes 0..9",
        ),
        ("ImageId,Label\n1,7\n2,\n3,9\n", "row 2, column Label: '' is not one of the classes 0..9"),
        ("ImageId,Label\n1,7\n2,0,1\n3,9\n", "row 2: 3 cells where the header has 2"),
    ],
)
def test_a_wrong_submission_is_refused(sample: Path, text: str, said: str) -> None:
    path = Path("submission.csv")
    path.write_text(text)
    with pytest.raises(UserError) as caught:
        check_submission(path, sample, load_settings().competition)
    assert said in str(caught.value)


def test_a_missing_file_is_named(sample: Path) -> None:
    with pytest.raises(UserError, match=r"none.csv is missing; `dvc repro` makes it"):
        check_submission(Path("none.csv"), sample, load_settings().competition)
