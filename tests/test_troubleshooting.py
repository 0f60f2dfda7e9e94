"""docs/troubleshooting.md and docs/cluster.md quote what the code really says."""

import ast
import re

import pytest

from support.project import REPOSITORY

PAGES = ("troubleshooting.md", "cluster.md", "kaggle-gpus.md")


def messages() -> str:
    """Every text in the code, one after the other; what is filled in is a blank."""
    found = [(REPOSITORY / "Makefile").read_text()]
    for path in (REPOSITORY / "pipeline").rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Constant) and isinstance(node.value, str):
                found.append(node.value)
            if isinstance(node, ast.JoinedStr):
                parts = [
                    part.value if isinstance(part, ast.Constant) else " " for part in node.values
                ]
                found.append("".join(map(str, parts)))
    return "\n".join(found)


def quoted(page: str) -> list[str]:
    """The first cell of each row that quotes a message."""
    text = (REPOSITORY / "docs" / page).read_text()
    cells = [line.split(" | ")[0] for line in text.splitlines() if line.startswith("| `")]
    return [part for cell in cells for part in re.findall(r"`([^`]+)`", cell)]


@pytest.mark.parametrize("page", PAGES)
def test_each_message_that_a_page_explains_is_one_that_the_code_says(page: str) -> None:
    said, explained = messages(), quoted(page)
    assert explained
    for message in explained:
        parts = [part.strip(" :") for part in message.split("...")]
        missing = [part for part in parts if part and part not in said]
        assert not missing, f"{page}: nothing says {missing}"


def test_the_readme_leads_to_every_page() -> None:
    readme = (REPOSITORY / "README.md").read_text()
    linked = {"bad-input.md", "kaggle.md"}  # from troubleshooting.md
    for page in (REPOSITORY / "docs").glob("*.md"):
        assert f"docs/{page.name}" in readme or page.name in linked, page.name
