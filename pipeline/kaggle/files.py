"""The competition's files from Kaggle: downloaded, checked, and only then moved to data/raw/."""

import errno
import json
import os
import zipfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path, PurePosixPath

from rich.progress import (
    BarColumn,
    DownloadColumn,
    Progress,
    TimeElapsedColumn,
    TransferSpeedColumn,
)

from pipeline.base.competition import Competition, competition_path
from pipeline.base.console import console, say
from pipeline.base.digests import sha256_file, sha256_json
from pipeline.base.errors import UserError
from pipeline.base.files import temporary_folder, write_json
from pipeline.base.paths import RAW
from pipeline.base.settings import Settings
from pipeline.data.layouts.collect import collect, described
from pipeline.data.layouts.source import fill, refuse_strangers
from pipeline.data.layouts.tree import DescriptionError, Tree, check_member
from pipeline.kaggle.service import ServiceError, call

FETCHED = Path("experiments/cache/fetched.json")  # which files data/raw/ has, and of what
# Where a Kaggle notebook has the competition's files.
MOUNTED = Path(os.environ.get("PIPELINE_INPUT", "/kaggle/input"))
UNPACKED_LIMIT, RATIO = 4 << 30, 100  # bytes, and times the zip's; a zip that claims more is a trap
UNFINISHED = ".kaggle-"  # how the folder of an unfinished download in data/ begins


class NotWholeError(UserError):
    """What came is not whole; downloading again may help."""


def fetch(settings: Settings) -> None:
    """Get the competition's files into data/raw/, complete.

    Raises:
        UserError: the download failed, or the files are not as described; data/raw/ is as before.
    """
    competition = settings.competition
    if _fetched_before(competition):
        say(f"{RAW}/ already has the files of {competition.slug}; nothing to download")
        return
    refuse_strangers(competition)
    with temporary_folder(RAW.parent, UNFINISHED) as temporary:
        mounted = mount(competition)
        if mounted:
            say(f"using the files in {mounted}/, where this notebook has them")
        else:
            _look_first(settings)
            _download(settings, temporary)
        root = mounted or next(temporary.iterdir())
        with Tree(root) as tree, fill(competition) as folder:
            collect(tree, competition, folder)
    write_json(FETCHED, _fetched(competition))
    say(f"the files of {competition.slug} are in {RAW}/")


def mount(competition: Competition) -> Path | None:
    """Where a Kaggle notebook has the competition's files; None elsewhere.

    By its name there, or else any folder that has the files which the description names.
    """
    slug = str(competition.slug)
    for path in (MOUNTED / slug, MOUNTED / "competitions" / slug):
        if path.is_dir() and any(path.iterdir()):
            return path
    for path in sorted(MOUNTED.iterdir()) if MOUNTED.is_dir() else ():
        with suppress(UserError), Tree(path) as tree:
            described(tree, competition)
            return path
    return None


def _fetched(competition: Competition) -> dict[str, object]:
    wanted = [competition.slug, _named(competition)]
    digests = {path.name: sha256_file(path) for path in sorted(RAW.iterdir())}
    return {"of": sha256_json(wanted), "sha256": digests}


def _fetched_before(competition: Competition) -> bool:
    """Whether data/raw/ holds, byte for byte, what was downloaded for this description."""
    try:
        return bool(json.loads(FETCHED.read_text()) == _fetched(competition))
    except (OSError, ValueError):
        return False


def _look_first(settings: Settings) -> None:
    """Compare the described files with those that Kaggle lists, before gigabytes are downloaded.

    Raises:
        DescriptionError: a file is not among them; it names the key to change.
    """
    competition = settings.competition
    try:
        listed = call(settings, "files", str(competition.slug))
    except ServiceError as error:
        if error.after is None:
            raise
        return  # it did not answer; the download says more
    names = [str(name).lower() for name in listed["names"]]
    if not listed["all"] or not names or any(name.endswith((".zip", ".7z")) for name in names):
        return
    stems = {part.split(".")[0] for name in names for part in PurePosixPath(name).parts}
    for key, name in _named(competition).items():
        if PurePosixPath(name).name.lower().split(".")[0] not in stems:
            shown = ", ".join(sorted(names, key=lambda each: each.count("/"))[:6])
            raise DescriptionError(
                f"{competition_path(competition.name)}: {key}: {competition.slug} has no {name} on "
                f"Kaggle; it has {shown}"
            )


def _named(competition: Competition) -> dict[str, str]:
    """The files and folders that a description names, by its keys."""
    images, sample = competition.images, competition.submission.sample
    named = {"images.train": images.train, "images.test": images.test}
    if sample:
        named["submission.sample"] = sample
    if competition.labels.table:
        named["labels.from"] = competition.labels.table
    return {key: name for key, name in named.items() if name.strip("./")}


def _download(settings: Settings, folder: Path) -> None:
    """Download the zip and check that it is whole; one that is not is thrown away."""
    slug = str(settings.competition.slug)
    for attempt in range(1, settings.kaggle.attempts + 1):
        for old in folder.iterdir():  # the client would resume from what is there, right or wrong
            old.unlink()
        try:
            with _progress(folder) as size:
                call(settings, "download", slug, str(folder), progress=size)
            check_zip(folder)
        except NotWholeError as error:
            if attempt == settings.kaggle.attempts:
                raise ServiceError(
                    f"Kaggle sent no whole zip of {slug}, {attempt} times: {error}"
                ) from None
            say(f"the download is not complete ({error}); downloading it again")
        else:
            return


def check_zip(folder: Path) -> None:
    """Check the one zip in a folder: every byte, every name.

    Raises:
        NotWholeError: there is no zip, or it is damaged or unsafe.
    """
    came = sorted(folder.iterdir())
    if len(came) != 1 or not zipfile.is_zipfile(came[0]):
        names = ", ".join(path.name for path in came) or "nothing"
        raise NotWholeError(f"expected a zip, got {names}")
    try:
        with zipfile.ZipFile(came[0]) as archive:
            for member in archive.infolist():
                check_member(member)
            claimed = sum(member.file_size for member in archive.infolist())
            if claimed > max(UNPACKED_LIMIT, RATIO * came[0].stat().st_size):
                raise NotWholeError(f"{came[0].name} claims to unpack to over {claimed:,} bytes")
            if archive.testzip() is not None:
                raise NotWholeError(f"{came[0].name} is damaged")
    except (zipfile.BadZipFile, NotImplementedError, RuntimeError, EOFError, OSError) as error:
        if isinstance(error, OSError) and error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EROFS):
            reason = f"{RAW}: {error.strerror}; free some space and run the command again"
            raise UserError(reason) from None
        raise NotWholeError(f"{came[0].name} is damaged ({error})") from None


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
