"""Where networks are trained: on this machine, or on the nodes of a Ray cluster."""

from contextlib import AbstractContextManager

from pipeline.base.settings import Settings
from pipeline.training.side_by_side import Team, workers


def engine(settings: Settings) -> AbstractContextManager[Team]:
    """What trains networks side by side, as `compute` in params.yaml says; see `Team.run`."""
    if settings.compute.engine == "ray":
        from pipeline.training.engines.far_team import FarTeam  # Ray is an extra

        return FarTeam(settings.compute)
    return Team(workers(settings))
