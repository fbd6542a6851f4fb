"""`ssat track`."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from flows.cli.options import build_settings, common_options, print_json, settings_options
from ssat.mot.settings import TrackSettings


@click.command(epilog="Example: ssat track street.mp4 --detections street-detections.txt --output tracks")
@click.argument("input_path", metavar="INPUT", type=click.Path(path_type=Path))
@common_options
@click.option("--output", type=click.Path(path_type=Path), help="Folder of the result; default: workspace/tracks.")
@settings_options(TrackSettings)
def command(
    input_path: Path,
    workspace: str,
    config: Path | None,
    as_json: bool,
    debug: bool,
    output: Path | None,
    track_given: dict[str, Any],
) -> None:
    """Track through a video file, a folder of images or a MOTChallenge sequence.

    Detections come from a text file in MOTChallenge form, or are the public ones of a MOTChallenge sequence: there is
    no detector in this version. Writes NAME.txt (frame, id, left, top, width, height, score) and an annotated NAME.mp4.
    """
    settings = build_settings(TrackSettings, config=config, preset=None, given=track_given)

    from rich.console import Console

    from ssat.workspace import Workspace

    place = Workspace.open(workspace)
    result = track_input(input_path.expanduser(), settings, place, (output or place.root / "tracks").expanduser())
    console = Console(stderr=as_json)
    stages = ", ".join(f"{stage} {rate:.0f}" for stage, rate in result["fps_by_stage"].items())
    console.print(
        f"{result['frames']} frames, {result['identities']} identities, {result['fps']:.1f} fps ({stages})",
        markup=False,
        highlight=False,
    )
    for note in result["notes"]:
        console.print(f"note: {note}", markup=False, soft_wrap=True)
    for kind in ("results", "video"):
        if kind in result:
            console.print(f"{kind}: {result[kind]}", markup=False, soft_wrap=True)
    if as_json:
        print_json(result)


def track_input(path: Path, settings: TrackSettings, workspace: Any, output: Path) -> dict[str, Any]:
    """Tracks one input and writes its files into `output`; gives their paths, counts and frames per second.

    Raises:
        InputError: an input, detections or an embedder that cannot be used.
        WorkspaceError: the output cannot be written.
    """
    from contextlib import ExitStack, closing

    from ssat.errors import InputError, WorkspaceError
    from ssat.mot.inputs import open_input
    from ssat.mot.rows import write_results
    from ssat.report.video import AnnotatedVideo
    from ssat.tracking import Tracker
    from ssat.tracking.pipeline import track_frames
    from ssat.tracking.sources import read_ahead
    from tasks.progress import progress_bar

    opened = open_input(path, settings.detections, settings.frame_rate, settings.min_score)
    embedder = None
    if settings.tracker == "ssat":
        if opened.source is None:
            raise InputError(f"{path}: labels only, no frames (img1): appearance needs frames, --tracker box does not")
        embedder = _resolve(settings.embedder, workspace)
    try:
        output.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise WorkspaceError(f"{output}: cannot be made ({error.strerror}); name another with --output") from error
    result: dict[str, Any] = {"name": opened.name, "notes": []}
    if opened.source is None and settings.video:
        result["notes"].append("labels only, no frames: no video is written")
    with ExitStack() as stack:
        total = len(opened.numbers) if opened.numbers else getattr(opened.source, "n_frames", None)
        advance = stack.enter_context(progress_bar(f"track {opened.name}", total))
        video = None
        if settings.video and opened.source is not None:
            video = stack.enter_context(AnnotatedVideo(output / f"{opened.name}.mp4", opened.frame_rate))

        def sink(number: int, image: Any, tracks: Any) -> None:
            if video is not None:
                video.write(number, image, tracks)
            advance()

        if opened.source is None or (embedder is None and video is None and opened.numbers is not None):
            frames: Any = ((number, None) for number in opened.numbers or ())
        else:
            frames = stack.enter_context(closing(read_ahead(opened.source)))
        tracker = Tracker(settings.association, opened.frame_rate)
        tracked = track_frames(frames, opened.detections, tracker, embedder=embedder, sink=sink)
    results = output / f"{opened.name}.txt"
    write_results(results, tracked.frames, tracked.ids, tracked.boxes, tracked.scores)
    unused = len(opened.detections) - len(tracked.frames)
    if unused:
        result["notes"].append(
            f"{unused} detections stand beyond the last frame ({tracked.n_frames}) and were not used"
        )
    seconds = tracked.seconds
    stages = {"read": seconds.read, "patches": seconds.patches, "embed": seconds.embed, "associate": seconds.associate}
    return result | {
        "results": str(results),
        **({"video": str(output / f"{opened.name}.mp4")} if video is not None else {}),
        "frames": tracked.n_frames,
        "identities": len(set(tracked.ids.tolist())),
        "fps": round(tracked.n_frames / seconds.tracking, 2) if seconds.tracking else 0.0,
        "fps_by_stage": {stage: round(tracked.n_frames / value, 1) for stage, value in stages.items() if value},
    }


def _resolve(spec: str | None, workspace: Any) -> Any:
    from tasks.embedders import resolve_embedder
    from tasks.services import mlflow_session

    if spec is None or spec == "untrained" or Path(spec).is_file():
        return resolve_embedder(spec, workspace)
    # A run or a registered model: MLflow has it.
    with mlflow_session(workspace):
        return resolve_embedder(spec, workspace)
