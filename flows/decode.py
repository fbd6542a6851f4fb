"""Decode: collected clips in, Parquet frame store out."""

from __future__ import annotations

from typing import Any

from prefect import flow

from ssat.frames.settings import DecodeSettings
from ssat.workspace import Workspace
from tasks.decode import decode_dry, decode_shards, report_store
from tasks.services import ray_session


@flow(name="decode", persist_result=False)
def decode_flow(workspace: str, settings: DecodeSettings) -> dict[str, Any]:
    """Decodes what the workspace's frame store lacks of its roster.

    Gives "clips", "frames", "shards" and "bytes" of the store, "written_shards", "written_frames", "seconds" and
    "frames_per_second" of this run, "failed" and "failures" (rank, clip_id, reason), and "digest", the data digest.
    With `dry_writer` the store stays as it is: "clips", "frames", "shards", "seconds" and "frames_per_second".

    Raises:
        InputError: nothing was collected, or no clip can be decoded.
        WorkspaceError: the store cannot be written.
    """
    opened = Workspace.open(workspace, objects=True)
    with ray_session(opened):
        if settings.dry_writer:
            dry: dict[str, Any] = decode_dry(opened, settings)
            return dry
        result: dict[str, Any] = decode_shards(opened, settings)
    report_store(result)
    return result
