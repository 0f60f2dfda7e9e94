"""The competition's files from Kaggle: fetched, checked, and only then moved into data/raw/."""

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

from pipeline.config import Competition, Settings
from pipeline.console import UserError, console, say
from pipeline.files import RAW, sha256_file, write_json
from pipeline.kaggle_service import ServiceError, call
from pipeline.tables import header_bytes

FETCHED = Path("experiments/cache/fetched.json")  # which files data/raw/ has, and of what
MOUNTED = Path("/kaggle/input")  # where a Kaggle notebook has the competition's files
UNPACKED_LIMIT = 4 << 30  # bytes; what claims to unpack to more is not a competition of pixels
BLOCK = 1 << 20
UNFINISHED = ".kaggle-"  # how the folder in data/raw/ of a download under way is called


class NotWholeError(UserError):
    """What was fetched is not the competition's files; fetching again may help."""


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
    """Hold headers and row counts against what the competition's settings say.

    Raises:
        NotWholeError: a file is missing, or is not as it should be.
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
                    f"{name}: its header is {header[:60]!r}, not {columns[0]!r} ..."
                )
            found, last = 0, b"\n"
            while block := file.read(BLOCK):
                found, last = found + block.count(b"\n"), block[-1:]
        found += last != b"\n"
        if rows is not None and found != rows:
            raise NotWholeError(f"{name}: {found:,} rows where the competition has {rows:,}")


def fetch(settings: Settings) -> None:
    """Have the competition's three CSV files in data/raw/, whole.

    Raises:
        UserError: they cannot be had; data/raw/ is as it was.
    """
    competition = settings.competition
    if _fetched_before(competition):
        say(f"{RAW}/ has the files of {competition.slug} already, whole; nothing is fetched")
        return
    RAW.mkdir(parents=True, exist_ok=True)
    for left in RAW.glob(f"{UNFINISHED}*"):  # by a kill; the stage's lock says nobody is at it
        shutil.rmtree(left)
    with tempfile.TemporaryDirectory(dir=RAW, prefix=UNFINISHED) as temporary:
        folder = Path(temporary)
        mounted = next(
            (path for path in _mounts(competition.slug) if (path / "train.csv").is_file()), None
        )
        if mounted:
            say(f"taking the files from {mounted}/, where this notebook has them")
            for name in filter(lambda name: (mounted / name).is_file(), wanted(competition)):
                shutil.copyfile(mounted / name, folder / name)
            check_files(folder, competition)
        else:
            _download(settings, folder)
        for name in wanted(competition):
            (folder / name).replace(RAW / name)
    write_json(FETCHED, {"slug": competition.slug, "sha256": _digests(competition)})
    say(f"fetched the files of {competition.slug} into {RAW}/")


def _digests(competition: Competition) -> dict[str, str]:
    return {name: sha256_file(RAW / name) for name in wanted(competition)}


def _fetched_before(competition: Competition) -> bool:
    """Whether data/raw/ holds what was fetched for this very competition, to the byte.

    Headers and row counts do not tell: the embedded digits have Kaggle's own.
    """
    try:
        noted = json.loads(FETCHED.read_text())
        return bool(noted == {"slug": competition.slug, "sha256": _digests(competition)})
    except (OSError, ValueError):
        return False


def _mounts(slug: str) -> list[Path]:
    return [MOUNTED / slug, MOUNTED / "competitions" / slug]


def _download(settings: Settings, folder: Path) -> None:
    """Fetch, unpack and check; what came wrong is thrown away and fetched anew."""
    competition = settings.competition
    for attempt in range(1, settings.kaggle.attempts + 1):
        for old in folder.iterdir():  # the client would go on from what is there, right or wrong
            old.unlink()
        try:
            with _progress(folder) as size:
                call(settings, "download", competition.slug, str(folder), progress=size)
            unpack(folder, competition)
            check_files(folder, competition)
        except NotWholeError as error:
            if attempt == settings.kaggle.attempts:
                raise ServiceError(
                    f"Kaggle sent something else than the files of {competition.slug}, "
                    f"{attempt} times: {error}"
                ) from None
            say(f"what came is not whole ({error}); fetching it again")
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
        raise NotWholeError(f"a zip was wanted, and {names} came")
    try:
        with zipfile.ZipFile(came[0]) as archive:
            members = archive.infolist()
            for member in members:
                _check_member(member)
            if sum(member.file_size for member in members) > UNPACKED_LIMIT:
                raise NotWholeError(
                    f"{came[0].name} claims to unpack to over {UNPACKED_LIMIT:,} bytes"
                )
            if archive.testzip() is not None:
                raise NotWholeError(f"{came[0].name} is damaged")
            for name in wanted(competition):
                if name not in archive.namelist():
                    raise NotWholeError(f"{came[0].name} holds no {name}")
                with archive.open(name) as source, (folder / name).open("xb") as target:
                    shutil.copyfileobj(source, target, BLOCK)
    except (zipfile.BadZipFile, NotImplementedError, RuntimeError, EOFError, OSError) as error:
        if isinstance(error, OSError) and error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EROFS):
            raise UserError(f"{RAW}: {error.strerror}; make room and run it again") from None
        raise NotWholeError(f"{came[0].name} is damaged ({error})") from None
    came[0].unlink()


def _check_member(member: zipfile.ZipInfo) -> None:
    path = PurePosixPath(member.filename.replace("\\", "/"))
    outside = path.is_absolute() or ".." in path.parts or ":" in member.filename
    if outside or stat.S_ISLNK(member.external_attr >> 16):
        raise NotWholeError(f"the zip holds {member.filename[:60]!r}, which reaches outside")


@contextmanager
def _progress(folder: Path) -> Iterator[Callable[[], int]]:
    """Show how much has come, on a terminal; yield a function that says how much, in bytes."""
    columns = (
        "fetching",
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
