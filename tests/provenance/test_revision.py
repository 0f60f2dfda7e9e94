import subprocess
from pathlib import Path

from pipeline.provenance.revision import git_state
from support.project import write_yaml


def test_the_revision_is_the_checkouts_and_only_code_makes_it_dirty(project: Path) -> None:
    def git(*arguments: str) -> str:
        identity = ("-c", "user.name=t", "-c", "user.email=t@localhost")
        command = ["git", *identity, *arguments]
        return subprocess.run(command, check=True, capture_output=True, text=True).stdout.strip()

    git("init", "-q")
    git("add", ".")
    git("commit", "-q", "-m", "first")
    revision = git("rev-parse", "HEAD")
    assert git_state() == {"git_revision": revision, "git_dirty": "false"}
    Path("submissions").mkdir()
    Path("submissions/metrics.json").write_text("{}")
    assert git_state()["git_dirty"] == "false"
    write_yaml(project / "params.yaml", {"seed": 2})
    assert git_state()["git_dirty"] == "true"
