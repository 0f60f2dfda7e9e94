"""Check params.yaml and the recipes it lists, before anything runs."""

from pipeline.config import load_settings
from pipeline.console import run_command
from pipeline.recipe import load_recipe


def main() -> None:
    """Check params.yaml and the recipes it lists; say nothing if they are good."""
    for name in load_settings().recipes:
        load_recipe(name)


if __name__ == "__main__":
    run_command(main)
