"""Brings trained folds from Kaggle into the cache, each checked, under the machine they are of."""

import json
import re
import tempfile
import zipfile
from pathlib import Path

from pipeline.base.errors import UserError
from pipeline.base.paths import CACHE
from pipeline.data.arrays import Data
from pipeline.kernels.kernel import MACHINE
from pipeline.network.task import Task
from pipeline.training.cache import finished
from pipeline.training.fingerprint import fingerprint
from pipeline.training.machine import Machine, bring
from pipeline.training.write_fold import FILES

LIMIT = 4 << 30  # bytes that the folds may unpack to
MEMBER = re.compile(r"([0-9a-f]{24})/(" + "|".join(map(re.escape, (*FILES, "done.json"))) + ")")


def bring_folds(path: Path, tasks: list[Task], data: Data) -> int:
    """Put the folds in a zip into the cache; how many there were.

    Raises:
        UserError: the zip holds something else, is too large, or its folds are of other data.
    """
    try:
        with zipfile.ZipFile(path) as archive:
            machine = Machine(**json.loads(archive.read(MACHINE)))
            wanted = {fingerprint(task, data, machine) for task in tasks}
            folds = _folds(archive, wanted)
            with tempfile.TemporaryDirectory(dir=CACHE, prefix=".kaggle-") as temporary:
                for name in folds:
                    _take(archive, name, Path(temporary))
    except (zipfile.BadZipFile, KeyError, ValueError, TypeError, EOFError) as error:
        raise UserError(f"what came from Kaggle is damaged ({error}); nothing was kept") from None
    if folds:
        bring(machine)
    return len(folds)


def _folds(archive: zipfile.ZipFile, wanted: set[str]) -> list[str]:
    """The folds of a zip, all of whose names and sizes were looked at."""
    members = [member for member in archive.infolist() if member.filename != MACHINE]
    strange = [each.filename for each in members if not MEMBER.fullmatch(each.filename)]
    if strange:
        raise UserError(f"what came from Kaggle holds {strange[0]!r}; nothing was kept")
    if sum(member.file_size for member in members) > LIMIT:
        raise UserError(f"what came from Kaggle unpacks to over {LIMIT:,} bytes; nothing was kept")
    found = sorted({member.filename.partition("/")[0] for member in members})
    if not set(found) <= wanted:
        raise UserError(
            "the folds from Kaggle are of other data or settings than those here: is data/raw the "
            "competition's own? `dvc repro -f download`, then `make kaggle-train` again"
        )
    return found


def _take(archive: zipfile.ZipFile, name: str, temporary: Path) -> None:
    """Put one fold into the cache, if it is as it was written."""
    for file in (*FILES, "done.json"):
        archive.extract(f"{name}/{file}", temporary)
    if not finished(temporary / name):
        raise UserError(f"the fold {name} from Kaggle is damaged; nothing more was kept")
    if not finished(CACHE / name):
        (temporary / name).rename(CACHE / name)
