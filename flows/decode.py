"""Decode: collected clips in, Parquet frame store out."""

from __future__ import annotations

from prefect import flow

from ssat.frames.decoded import DecodedStore, DryDecoding
from ssat.frames.settings import DecodeSettings
from ssat.workspace import Workspace
from tasks.decode import decode_dry, decode_shards, report_store
from tasks.services import ray_session


@flow(name="decode", persist_result=False)
def decode_flow(workspace: str, settings: DecodeSettings) -> DecodedStore | DryDecoding:
    """Decode what the workspace's frame store lacks of its roster; with `dry_writer` the store stays as it is.

    Raises:
        InputError: nothing was collected, or no clip can be decoded.
        WorkspaceError: the store cannot be written.
    """
    opened = Workspace.open(workspace, objects=True)
    with ray_session(opened):
        if settings.dry_writer:
            dry: DryDecoding = decode_dry(opened, settings)
            return dry
        result: DecodedStore = decode_shards(opened, settings)
    report_store(result)
    return result
