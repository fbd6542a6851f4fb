"""Adapt an embedder to one camera: unlabelled footage in, registered embedder out where it is better."""

from __future__ import annotations

from typing import Any

from prefect import flow

from ssat.pipeline.settings import AdaptSettings
from ssat.workspace import Workspace
from tasks.adapt import adapt_embedder


@flow(name="adapt", persist_result=False)
def adapt_flow(workspace: str, footage: str, settings: AdaptSettings) -> dict[str, Any]:
    """Adapt to the footage; what was accepted before is not done again.

    Returns:
        the fields of `tasks.adapt.AdaptedEmbedder`.
    """
    return adapt_embedder(Workspace.open(workspace), footage, settings).as_json()
