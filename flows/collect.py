"""Collect clips: a list, a folder or URLs in, trimmed clips and their roster out."""

from __future__ import annotations

from pathlib import Path

from prefect import flow

from ssat.clips.collected import CollectResult
from ssat.clips.settings import CollectSettings
from ssat.errors import InputError
from ssat.output_paths import refuse_source_in
from ssat.workspace import Workspace
from tasks.collect import collect_clips


class NothingCollectedError(InputError):
    """Not one clip. `stopped`: the budget or pause that ended the run before the first, empty where all failed."""

    def __init__(self, message: str, stopped: str) -> None:
        super().__init__(message)
        self.stopped = stopped


@flow(name="collect", persist_result=False)
def collect_flow(workspace: str, settings: CollectSettings) -> CollectResult:
    """Collect into the workspace what it does not have yet.

    Raises:
        InputError: the list cannot be used.
        NothingCollectedError: not one clip could be collected.
        WorkspaceError: the workspace cannot be written.
    """
    place = Workspace.open(workspace)
    if settings.source is not None:
        refuse_source_in(place.clips, Path(settings.source).expanduser())
    result = collect_clips(place, settings)
    if not result.ranks:
        counts = ", ".join(f"{count} {name}" for name, count in result.by_class.items()) or "none attempted"
        raise NothingCollectedError(
            f"{settings.source}: no clip could be collected ({counts}). "
            + (result.stopped or "`ssat collect --status` counts the reasons, clips/status/ in the workspace has all"),
            result.stopped,
        )
    return result
