"""`ssat track`."""

from __future__ import annotations

from contextlib import nullcontext
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from flows.cli.options import (
    association_preset_option,
    build_settings,
    common_options,
    print_json,
    print_line,
    settings_options,
)
from ssat.errors import InputError
from ssat.pipeline.settings import TrackSettings

if TYPE_CHECKING:
    from tasks.track import TrackedInput


@click.command(
    epilog="\b\nExample: ssat track street.mp4 --detector fasterrcnn --output tracks\n"
    "         ssat track street.mp4 --detections street.txt --explain 7\n"
    "         ssat track rtsp://camera/stream --detector fcos --live"
)
@click.argument("inputs", metavar="INPUT...", nargs=-1, required=True)
@common_options
@association_preset_option("strong")
@click.option("--output", type=click.Path(path_type=Path), help="Folder of the result; default: workspace/tracks.")
@click.option("--overwrite", is_flag=True, help="Replace files that an earlier run left in that folder.")
@click.option("--live", is_flag=True, help="Print each frame's tracks as a line of JSON as soon as they are known.")
@click.option("--explain", type=click.IntRange(min=1), help="Tell why this identity began and ended.")
@click.option(
    "--remember",
    type=click.FloatRange(min=0),
    metavar="SECONDS",
    help="People who return within this time get their identity back; same as --association-remember-seconds.",
)
@settings_options(TrackSettings)
def command(
    inputs: tuple[str, ...],
    workspace: str,
    config: Path | None,
    as_json: bool,
    debug: bool,
    preset: str,
    output: Path | None,
    overwrite: bool,
    live: bool,
    explain: int | None,
    remember: float | None,
    track_given: dict[str, Any],
) -> None:
    """Track people in videos, image folders, MOTChallenge sequences, a stream (rtsp, http) or a camera (its number).

    Detections come from a file, from torchvision's networks (--detector), from CenterTrack's (--refine), or are the
    public ones of a sequence. Writes NAME.txt (frame, id, left, top, width, height, score), NAME.parquet and an
    annotated NAME.mp4. Interrupted, it leaves them complete up to that frame.
    """
    if remember is not None:
        association = {"remember_seconds": remember, **track_given.get("association", {})}
        track_given = {**track_given, "association": association}
    settings = build_settings(TrackSettings, config=config, preset=preset, given=track_given)

    from ssat.workspace import Workspace
    from tasks.calibration import with_stored_calibration
    from tasks.detectors import resolve_detector
    from tasks.embedders import check_embedder, track_default
    from tasks.track import TrackOptions, open_all, track_input
    from tasks.track_inputs import check_outputs, output_files
    from tasks.tracked import TrackedRecord, track_key

    place = Workspace.open(workspace)
    folder = (output or place.root / "tracks").expanduser()
    found = open_all(inputs, settings)
    opened, failed = found.opened, found.refused
    for error in failed.values():
        click.echo(f"ssat: error: {error}; going on with the other inputs", err=True)
    check_outputs(list(opened.values()), inputs, settings, place, output=folder, explain=explain, config=config)
    spec = settings.embedder or track_default(place)
    if settings.needs_appearance:
        check_embedder(spec, place)
    embedder = _resolve(spec, settings, place) if settings.needs_appearance else None
    settings = with_stored_calibration(settings, embedder, place)
    detectors = resolve_detector(settings, place)
    options = TrackOptions(folder, overwrite, print_line if live else None, explain)
    results = []
    digests = [None if network is None else network.digest for network in (embedder, *detectors)]
    for input_name, opened_input in opened.items():
        record = TrackedRecord(
            place, output_files(folder, opened_input, settings), track_key(opened_input, input_name, settings, digests)
        )
        # A single input reports existing files itself.
        done = record.finished() if len(inputs) > 1 and not (overwrite or live or explain is not None) else None
        if done is not None:
            done = replace(done, notes=(*done.notes, "tracked before with the same settings: its files are kept"))
            _show(done, to_stderr=as_json or live)
            results.append(done)
            continue
        own = replace(options, overwrite=overwrite or record.may_be_replaced())
        record.watch()
        try:
            result = track_input(opened_input, settings, place, own, embedder=embedder, detectors=detectors)
        except InputError as error:
            record.ended_early()
            if len(inputs) == 1:
                raise
            failed[input_name] = str(error)
            click.echo(f"ssat: error: {error}; going on with the other inputs", err=True)
            continue
        except BaseException:
            record.ended_early()
            raise
        if embedder is not None:
            notes = result.notes
            if spec != settings.embedder:
                notes += (
                    f"appearance by {spec}, a histogram: {place.root} holds no training; name another with --embedder",
                )
            result = replace(result, embedder=(spec, embedder.digest), notes=notes)
        record.write(result)
        _show(result, to_stderr=as_json or live)
        results.append(result)
    if as_json:
        answers = [result.as_json() for result in results]
        faults = [{"input": input_name, "error": error} for input_name, error in failed.items()]
        print_json(answers[0] if len(inputs) == 1 else {"inputs": answers, **({"failed": faults} if faults else {})})
    if failed:
        raise InputError(
            f"{len(failed)} of {len(inputs)} inputs could not be tracked, or not to their end: {', '.join(failed)}; "
            "the others are done. Run the command again: it does only what is missing"
        )


def _show(result: TrackedInput, *, to_stderr: bool) -> None:
    from rich.console import Console

    console = Console(stderr=to_stderr)
    stages = ", ".join(f"{stage} {rate:.0f}" for stage, rate in result.fps_by_stage.items())
    console.print(
        f"{result.name}: {result.frames} frames, {result.identities} identities, {result.fps:.1f} fps ({stages})",
        markup=False,
        highlight=False,
        soft_wrap=True,
    )
    if result.fps_includes:
        console.print(f"fps include: {', '.join(result.fps_includes)}", markup=False, soft_wrap=True)
    if result.beyond_the_paper:
        console.print(f"beyond the paper: {', '.join(result.beyond_the_paper)}", markup=False, soft_wrap=True)
    for note in result.notes:
        console.print(f"note: {note}", markup=False, soft_wrap=True)
    for kind, path in (("results", result.results), ("table", result.table), ("video", result.video)):
        if path is not None:
            console.print(f"{kind}: {path}", markup=False, soft_wrap=True)
    if result.explanation is not None:
        console.print(result.explanation, markup=False, highlight=False, soft_wrap=True, end="")
        for path in result.explained:
            console.print(f"explained: {path}", markup=False, soft_wrap=True)


def _resolve(spec: str | None, settings: TrackSettings, workspace: Any) -> Any:
    from tasks.embedders import is_run
    from tasks.int8 import track_embedder
    from tasks.services import mlflow_session

    with mlflow_session(workspace) if is_run(spec) else nullcontext():
        return track_embedder(spec, workspace, settings)
