"""Learn colours: clips in, registered embedder out."""

from __future__ import annotations

from prefect import flow

from ssat.patches.settings import ColoursSettings
from ssat.workspace import Workspace
from tasks.colours import LearnedColours, learn_colours_task
from tasks.services import ray_session


@flow(name="colours", persist_result=False)
def colours_flow(workspace: str, settings: ColoursSettings) -> LearnedColours:
    """Learn from the clips of the workspace; the same is not learned twice."""
    opened = Workspace.open(workspace)
    with ray_session(opened):
        learned: LearnedColours = learn_colours_task(opened, settings)
    return learned
