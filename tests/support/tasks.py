"""A task on the project of the `arrays` fixture."""

import dataclasses

from pipeline.network.task import Task
from pipeline.network.way import OURS
from pipeline.recipes.files import load_recipe


def task(**changes: object) -> Task:
    plain = Task("tiny", load_recipe("tiny"), 10, 2, OURS, 0, 0)
    return dataclasses.replace(plain, **changes)  # type: ignore[arg-type]
