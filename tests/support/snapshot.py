"""A table in a markdown file that tests check, row by row, and `make test-docs` writes."""

from pathlib import Path


def row_of(*cells: str) -> str:
    return "| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |"


class Snapshot:
    """The rows of a page's only table; a row is found by its first two cells."""

    def __init__(self, path: Path, write: bool) -> None:
        self.path, self.write = path, write
        lines = path.read_text().splitlines()
        first = next(at for at, line in enumerate(lines) if line.startswith("|---")) + 1
        self.head = lines[:first]
        self.rows = {self._key(line): line for line in lines[first:] if line.startswith("| ")}
        self.seen: dict[str, str] = {}

    @staticmethod
    def _key(line: str) -> str:
        return " | ".join(line.split(" | ")[:2])

    def check(self, *cells: str) -> None:
        """Compare a row with the page."""
        line = row_of(*cells)
        self.seen[self._key(line)] = line
        if not self.write:
            written = self.rows.get(self._key(line))
            assert line == written, f"{self.path.name} is out of date: `make test-docs` writes it"

    def close(self) -> None:
        """Write the page, if that is wanted; rows of tests that did not run stay."""
        if self.write:
            rows = self.rows | self.seen
            self.path.write_text("\n".join([*self.head, *rows.values()]) + "\n")
