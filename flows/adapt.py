"""Adapt an embedder to one camera: unlabelled footage in, registered embedder out where it is better."""

from __future__ import annotations

from prefect import flow

from ssat.pipeline.settings import AdaptSettings
from ssat.workspace import Workspace
from tasks.adapt import AdaptedEmbedder, adapt_embedder


@flow(name="adapt", persist_result=False)
def adapt_flow(workspace: str, footage: str, settings: AdaptSettings) -> AdaptedEmbedder:
    """Adapt to the footage; what was accepted before is not done again."""
    adapted: AdaptedEmbedder = adapt_embedder(Workspace.open(workspace), footage, settings)
    return adapted
