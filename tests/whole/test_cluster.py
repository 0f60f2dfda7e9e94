"""Two machines that train together, and some of what `make chaos ONLY=cluster` does to them."""

from random import Random

import pytest

from chaos import cluster
from chaos.project import SkippedError
from chaos.workshop import Workshop

pytest.importorskip("ray", reason="an extra: `make test-all` installs it")
pytestmark = pytest.mark.slow

SOME = ("two-machines", "worker-killed", "head-killed", "wrong-token", "counted-gpus")


@pytest.fixture(scope="module")
def shop(tmp_path_factory: pytest.TempPathFactory) -> Workshop:
    return Workshop(tmp_path_factory.mktemp("chaos"), Random(0))


@pytest.mark.parametrize("name", SOME)
def test_what_two_machines_make_is_what_one_makes_whatever_is_broken(
    shop: Workshop, name: str
) -> None:
    (experiment,) = [each for each in cluster.experiments() if each.name == f"cluster-{name}"]
    try:
        experiment.run(shop)
    except SkippedError as reason:
        pytest.skip(str(reason))


def test_every_fault_and_every_wrong_set_up_has_a_name_of_its_own() -> None:
    names = [each.name for each in cluster.experiments()]
    assert len(names) == len(set(names))
    assert {f"cluster-{name}" for name in (*SOME, *cluster.BAD)} <= set(names)
