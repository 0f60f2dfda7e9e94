"""A stage's folder is refilled whole or not at all, wherever it is."""

import tempfile
from pathlib import Path

import pytest

from pipeline.base.files import refilling

MEMORY = Path("/dev/shm")  # noqa: S108


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.rglob("*"))


@pytest.mark.parametrize("elsewhere", [False, True])
def test_a_folder_is_refilled_whole_or_not_at_all_on_this_disk_or_another(
    tmp_path: Path, elsewhere: bool
) -> None:
    folder = tmp_path / "data/raw"
    folder.parent.mkdir()
    with tempfile.TemporaryDirectory(dir=MEMORY if elsewhere else tmp_path) as other:
        if elsewhere and Path(other).stat().st_dev == tmp_path.stat().st_dev:
            pytest.skip("there is one disk only")
        folder.symlink_to(other)
        (folder / "old").write_text("old")
        ((folder if elsewhere else folder.parent) / ".made-killed").mkdir()
        with pytest.raises(ValueError, match="broken"), refilling(folder, ".made-") as made:
            (made / "new").write_text("new")
            raise ValueError("broken")
        assert (folder / "old").read_text() == "old"
        with refilling(folder, ".made-") as made:
            (made / "new").write_text("new")
            (made / "other").write_text("other")
        assert names(folder) == ["new", "other"]
        assert [path.name for path in folder.parent.iterdir()] == ["raw"]
