"""The competition's files from Kaggle: downloaded, checked, and only then moved to data/raw/."""

import errno
import json
import shutil
import stat
import tempfile
import zipfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path, PurePosixPath

from rich.progress import (
    BarColumn,
    DownloadColumn,
    Progress,
    TimeElapsedColumn,
    TransferSpeedColumn,
)

from pipeline.base.console import console, say
from pipeline.base.digests import sha256_file
from pipeline.base.errors import UserError
from pipeline.base.files import write_json
from pipeline.base.paths import RAW
from pipeline.base.settings import Competition, Settings
from pipeline.data.csv_files import header_bytes
from pipeline.kaggle.service import ServiceError, call

FETCHED = Path("experiments/cache/fetched.json")  # which files data/raw/ has, and of what
MOUNTED = Path("/kaggle/input")  # where a Kaggle notebook has the competition's files
UNPACKED_LIMIT = 4 << 30  # bytes; a zip that claims more is not a competition of pixels
BLOCK = 1 << 20
UNFINISHED = ".kaggle-"  # how the folder of an unfinished download in data/raw/ begins


class NotWholeError(UserError):
    """What came is not the competition's files; downloading again may help."""


def wanted(competition: Competition) -> dict[str, tuple[list[str], int | None]]:
    """Each file's columns, and its rows if the settings say how many."""
    pixels = competition.pixel_columns
    submission = [competition.id_column, competition.prediction_column]
    return {
        "train.csv": ([competition.label_column, *pixels], competition.train_rows),
        "test.csv": (pixels, competition.test_rows),
        "sample_submission.csv": (submission, competition.test_rows),
    }


def check_files(folder: Path, competition: Competition) -> None:
    """Compare headers and row counts with the competition's settings.

    Raises:
        NotWholeError: a file is missing, or has another header or number of rows.
    """
    for name, (columns, rows) in wanted(competition).items():
        path = folder / name
        if not path.is_file():
            raise NotWholeError(f"{name} is missing")
        with path.open("rb") as file:
            header = (
                file.readline(header_bytes(columns)).decode("utf-8-sig", errors="replace").strip()
            )
            if header.split(",") != columns:
                raise NotWholeError(
                    f"{name}: expected a header {columns[0]!r} ..., found {header[:60]!r}"
                )
            found, last = 0, b"\n"
            while block := file.read(BLOCK):
                found, last = found + block.count(b"\n"), block[-1:]
        found += last != b"\n"
        if rows is not None and found != rows:
            raise NotWholeError(f"{name}: expected {rows:,} rows, found {found:,}")


def fetch(settings: Settings) -> None:
    """Get the competition's three CSV files into data/raw/, complete.

    Raises:
        UserError: the download failed; data/raw/ has not changed.
    """
    competition = settings.competition
    if _fetched_before(competition):
        say(f"{RAW}/ already has the files of {competition.slug}; nothing to download")
        return
    RAW.mkdir(parents=True, exist_ok=True)
    for left in RAW.glob(f"{UNFINISHED}*"):  # by a kill; the stage holds a lock
        shutil.rmtree(left)
    with tempfile.TemporaryDirectory(dir=RAW, prefix=UNFINISHED) as temporary:
        folder = Path(temporary)
        mounted = next(
            (path for path in _mounts(competition.slug) if (path / "train.csv").is_file()), None
        )
        if mounted:
            say(f"using the files in {mounted}/, where this notebook has them")
            for name in filter(lambda name: (mounted / name).is_file(), wanted(competition)):
                shutil.copyfile(mounted / name, folder / name)
            check_files(folder, competition)
        else:
            _download(settings, folder)
        for name in wanted(competition):
            (folder / name).replace(RAW / name)
    write_json(FETCHED, {"slug": competition.slug, "sha256": _digests(competition)})
    say(f"downloaded the files of {competition.slug} to {RAW}/")


def _digests(competition: Competition) -> dict[str, str]:
    return {name: sha256_file(RAW / name) for name in wanted(competition)}


def _fetched_before(competition: Competition) -> bool:
    """Whether data/raw/ holds, byte for byte, what was downloaded for this competition.

    Headers and row counts do not tell: the embedded digits have the same ones.
    """
    try:
        noted = json.loads(FETCHED.read_text())
        return bool(noted == {"slug": competition.slug, "sha256": _digests(competition)})
    except (OSError, ValueError):
        return False


def _mounts(slug: str) -> list[Path]:
    return [MOUNTED / slug, MOUNTED / "competitions" / slug]


def _download(settings: Settings, folder: Path) -> None:
    """Download, unpack and check; a wrong file is thrown away and downloaded again."""
    competition = settings.competition
    for attempt in range(1, settings.kaggle.attempts + 1):
        for old in folder.iterdir():  # the client would resume from what is there, right or wrong
            old.unlink()
        try:
            with _progress(folder) as size:
                call(settings, "download", competition.slug, str(folder), progress=size)
            unpack(folder, competition)
            check_files(folder, competition)
        except NotWholeError as error:
            if attempt == settings.kaggle.attempts:
                raise ServiceError(
                    f"Kaggle sent other files than those of {competition.slug}, "
                    f"{attempt} times: {error}"
                ) from None
            say(f"the download is not complete ({error}); downloading it again")
        else:
            return


def unpack(folder: Path, competition: Competition) -> None:
    """Take the competition's files out of the one zip in a folder, and delete the zip.

    Raises:
        NotWholeError: there is no zip, or it is damaged, unsafe or lacks a file.
    """
    came = sorted(folder.iterdir())
    if len(came) != 1 or not zipfile.is_zipfile(came[0]):
        names = ", ".join(path.name for path in came) or "nothing"
        raise NotWholeError(f"expected a zip, got {names}")
    try:
        with zipfile.ZipFile(came[0]) as archive:
            _check_archive(came[0].name, archive)
            for name in wanted(competition):
                if name not in archive.namelist():
                    raise NotWholeError(f"{came[0].name} has no {name}")
                with archive.open(name) as source, (folder / name).open("xb") as target:
                    shutil.copyfileobj(source, target, BLOCK)
    except (zipfile.BadZipFile, NotImplementedError, RuntimeError, EOFError, OSError) as error:
        if isinstance(error, OSError) and error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EROFS):
            reason = f"{RAW}: {error.strerror}; free some space and run the command again"
            raise UserError(reason) from None
        raise NotWholeError(f"{came[0].name} is damaged ({error})") from None
    came[0].unlink()


def _check_archive(name: str, archive: zipfile.ZipFile) -> None:
    members = archive.infolist()
    for member in members:
        _check_member(member)
    if sum(member.file_size for member in members) > UNPACKED_LIMIT:
        raise NotWholeError(f"{name} claims to unpack to over {UNPACKED_LIMIT:,} bytes")
    if archive.testzip() is not None:
        raise NotWholeError(f"{name} is damaged")


def _check_member(member: zipfile.ZipInfo) -> None:
    path = PurePosixPath(member.filename.replace("\\", "/"))
    outside = path.is_absolute() or ".." in path.parts or ":" in member.filename
    if outside or stat.S_ISLNK(member.external_attr >> 16):
        raise NotWholeError(f"the zip holds {member.filename[:60]!r}, which points outside of it")


@contextmanager
def _progress(folder: Path) -> Iterator[Callable[[], int]]:
    """Show on a terminal how much has come; yield a function that gives it in bytes."""
    columns = (
        "downloading",
        BarColumn(),
        DownloadColumn(),
        TransferSpeedColumn(),
        TimeElapsedColumn(),
    )
    with Progress(*columns, console=console, transient=True) as shown:
        task = shown.add_task("", total=None)

        def size() -> int:
            total = 0
            for path in folder.iterdir():
                total += path.stat().st_size if path.exists() else 0
            shown.update(task, completed=total)
            return total

        yield size
