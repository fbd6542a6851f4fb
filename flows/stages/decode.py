"""Decode: collected clips in, Parquet frame store out."""

from __future__ import annotations

from typing import TYPE_CHECKING

from flows.stage import Needs, Stage
from ssat.frames.settings import DecodeSettings
from ssat.workspace import Workspace

if TYPE_CHECKING:
    from rich.console import Console

    from ssat.frames.decoded import DecodedStore, DryDecoding


class Decode(Stage[DecodeSettings, "DecodedStore | DryDecoding"]):
    """Decode collected clips into the Parquet frame store.

    Run again, it decodes only what is missing; with other settings, it decodes again and then replaces the store.
    """

    name = "decode"
    settings = DecodeSettings
    presets = "training"
    examples = ("ssat decode --workspace workspace", "ssat decode --preset paper --quality 95")
    objects = True

    def needs(self, settings: DecodeSettings) -> Needs:
        return Needs(ray=True)

    def check_ready(self, workspace: Workspace, settings: DecodeSettings) -> None:
        from ssat.clips.roster import load_roster
        from ssat.frames.manifest import refuse_newer_store

        load_roster(workspace)
        refuse_newer_store(workspace.frames)

    def finished(self, workspace: Workspace, settings: DecodeSettings) -> DecodedStore | None:
        from ssat.frames.decoded import finished_store

        return None if settings.dry_writer else finished_store(workspace, settings)

    def run(self, workspace: Workspace, settings: DecodeSettings) -> DecodedStore | DryDecoding:
        from tasks.decode import decode_dry, decode_shards, report_store

        if settings.dry_writer:
            dry: DryDecoding = decode_dry(workspace, settings)
            return dry
        result: DecodedStore = decode_shards(workspace, settings)
        report_store(result)
        return result

    def show(self, result: DecodedStore | DryDecoding, workspace: Workspace, console: Console) -> None:
        from rich.table import Table

        from ssat.frames.decoded import DryDecoding

        if isinstance(result, DryDecoding):
            console.print(
                f"{result.frames:,} frames of {result.clips:,} clips decoded, encoded and discarded in "
                f"{result.seconds:.1f} s: {result.frames_per_second:,.0f} frames/s",
                highlight=False,
                soft_wrap=True,
            )
            return
        title = "frame store" + ("" if result.written_shards else " (nothing was missing)")
        table = Table(title=title, show_header=False)
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
        console.print(table)
        for clip in result.failures:
            console.print(
                f"failed: {clip.clip_id} (class id {clip.class_id}): {clip.reason}", markup=False, highlight=False
            )
        if result.failed > len(result.failures):
            console.print(f"failed: {result.failed - len(result.failures)} more, see clips.parquet of the store")

    def message(self, result: DecodedStore | DryDecoding) -> str:
        return f"{result.frames:,} frames"


STAGE = Decode()
