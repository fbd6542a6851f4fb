"""`ssat decode`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from flows.cli.options import build_settings, common_options, preset_option, print_json, settings_options
from ssat.frames.settings import DecodeSettings

if TYPE_CHECKING:
    from ssat.frames.decoded import DecodedStore, DryDecoding


@click.command(
    epilog="""\b
Examples:
  ssat decode --workspace workspace
  ssat decode --preset paper --quality 95
"""
)
@common_options
@preset_option
@settings_options(DecodeSettings)
def command(
    workspace: str, config: Path | None, as_json: bool, debug: bool, preset: str, decode_given: dict[str, Any]
) -> None:
    """Decode collected clips into the Parquet frame store.

    Run again, it decodes only what is missing; with other settings, it decodes again and then replaces the store.
    """
    settings = build_settings(DecodeSettings, config=config, preset=preset, given=decode_given)

    from ssat.workspace import Workspace
    from tasks.checks import check_decode

    opened = Workspace.open(workspace, objects=True)
    check_decode(opened)

    from ssat.frames.decoded import finished_store

    result: DecodedStore | DryDecoding | None = None if settings.dry_writer else finished_store(opened, settings)
    if result is None:
        from flows.decode import decode_flow
        from tasks.services import services

        with services(opened, ray=True, debug=debug):
            result = decode_flow(workspace, settings)
    show_store(result, as_json)
    if as_json:
        print_json(result)


def show_store(result: DecodedStore | DryDecoding, as_json: bool = False) -> None:
    """The summary table of the frame store, and its failed clips."""
    from rich.console import Console
    from rich.table import Table

    from ssat.frames.decoded import DryDecoding

    if isinstance(result, DryDecoding):
        click.echo(
            f"{result.frames:,} frames of {result.clips:,} clips decoded, encoded and discarded in "
            f"{result.seconds:.1f} s: {result.frames_per_second:,.0f} frames/s",
            err=as_json,
        )
        return
    table = Table(title="frame store" + ("" if result.written_shards else " (nothing was missing)"), show_header=False)
    rows = {
        "clips": f"{result.clips:,}" + (f" (and {result.failed} that failed)" if result.failed else ""),
        "frames": f"{result.frames:,}",
        "shards": f"{result.shards:,}, {result.bytes / 1e6:,.1f} MB",
        "written now": f"{result.written_frames:,} frames in {result.written_shards} shards",
        "time": f"{result.seconds:.1f} s, {result.frames_per_second:,.0f} frames/s",
        "data digest": result.digest[:16],
    }
    for name, value in rows.items():
        table.add_row(name, value)
    console = Console(stderr=as_json)
    console.print(table)
    for clip in result.failures:
        console.print(
            f"failed: {clip.clip_id} (class id {clip.class_id}): {clip.reason}", markup=False, highlight=False
        )
    if result.failed > len(result.failures):
        console.print(f"failed: {result.failed - len(result.failures)} more, see clips.parquet of the store")
