"""Learn colours: clips in, registered embedder out."""

from __future__ import annotations

from typing import Any

from prefect import flow

from ssat.patches.settings import ColoursSettings
from ssat.workspace import Workspace
from tasks.colours import learn_colours_task
from tasks.services import ray_session


@flow(name="colours", persist_result=False)
def colours_flow(workspace: str, settings: ColoursSettings) -> dict[str, Any]:
    """Learn from the clips of the workspace; the same is not learned twice.

    Returns:
        the fields of `tasks.colours.LearnedColours`.
    """
    opened = Workspace.open(workspace)
    with ray_session(opened):
        return learn_colours_task(opened, settings).as_json()
