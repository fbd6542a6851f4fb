"""`ssat probe`."""

from __future__ import annotations

import json
from contextlib import nullcontext
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from flows.cli.options import build_settings, common_options, print_json, settings_options
from ssat.pipeline.settings import ProbeSettings

if TYPE_CHECKING:
    from ssat.embedding.protocol import PatchEmbedder
    from ssat.pipeline.probing import Probed
    from ssat.workspace import Workspace


@click.command(
    epilog="\b\nExample: ssat probe street.mp4 --detector fasterrcnn --embedder colour --embedder RUN\n"
    "         ssat probe MOT17/train/MOT17-09-FRCNN --output probe"
)
@click.argument("inputs", metavar="INPUT...", nargs=-1, required=True)
@common_options
@click.option("--output", type=click.Path(path_type=Path), help="Folder for NAME.probe.json and NAME.probe.png.")
@click.option("--overwrite", is_flag=True, help="Replace files that an earlier probe left in that folder.")
@click.option(
    "--store-calibration",
    is_flag=True,
    help="Store the median distance between people of one frame with each embedder; tracking starts from it.",
)
@settings_options(ProbeSettings)
def command(
    inputs: tuple[str, ...],
    workspace: str,
    config: Path | None,
    as_json: bool,
    debug: bool,
    output: Path | None,
    overwrite: bool,
    store_calibration: bool,
    probe_given: dict[str, Any],
) -> None:
    """Measure without labels how well embedders distinguish the people of footage.

    Boxes that follow each other without a rival are one person; two tracks that share a frame are two people. AUC is
    the share of pairs that the cosine ranks correctly, at several times between the two boxes. The median distance of
    people of one frame gives the scale of the appearance cost, with which tau1 and tau2 keep their meaning.
    """
    settings = build_settings(ProbeSettings, config=config, preset=None, given=probe_given)

    from ssat.pipeline.inputs import open_input
    from ssat.pipeline.probing import load_footage, probe
    from ssat.workspace import Workspace
    from tasks.detectors import shelf_detector
    from tasks.embedders import check_embedder
    from tasks.progress import progress_bar

    place = Workspace.open(workspace)
    detecting = settings.detector is not None
    opened = [
        open_input(input_name, settings.detections, settings.frame_rate, settings.min_score, detecting=detecting)
        for input_name in inputs
    ]
    for name in settings.embedder:
        check_embedder(name, place)
    targets = _targets(
        output, [footage_input.name for footage_input in opened], inputs, settings, place, overwrite, config
    )
    embedders = _embedders(settings, place)
    detector = shelf_detector(settings.detector, settings.detector_score)
    results = []
    for input_name, footage_input in zip(inputs, opened, strict=True):
        with (
            progress_bar(f"detect in {footage_input.name}", getattr(footage_input.source, "n_frames", None))
            if detecting
            else nullcontext(lambda: None) as advance
        ):
            footage = load_footage(footage_input, settings, input_name, detector, place.cache / "detections", advance)
        with progress_bar(f"probe {footage_input.name}, frames", None) as advance:
            results.append(probe(footage, embedders, settings, advance))
    for result, files in zip(results, targets, strict=True):
        _show(result, to_stderr=as_json)
        _write(result, files)
    answer: dict[str, Any] = {"inputs": [asdict(result) for result in results]}
    if store_calibration:
        answer["stored"] = _store(results, embedders, settings, place)
    if as_json:
        print_json(answer)


def _targets(
    output: Path | None,
    names: list[str],
    inputs: tuple[str, ...],
    settings: ProbeSettings,
    workspace: Workspace,
    overwrite: bool,
    config: Path | None,
) -> list[tuple[Path, Path] | None]:
    """Return the files of every input, checked before any work; None if none are asked for."""
    if output is None:
        return [None] * len(names)
    from ssat.errors import InputError
    from ssat.output_paths import refuse_inputs_as_outputs
    from tasks.embedders import embedder_files

    folder = output.expanduser()
    files = [(folder / f"{name}.probe.json", folder / f"{name}.probe.png") for name in names]
    if len(set(files)) < len(files):
        raise InputError(
            f"two inputs of one name ({', '.join(names)}): their files would be the same; probe them separately"
        )
    read = [Path(input_name).expanduser() for input_name in inputs]
    read += [file for name in settings.embedder for file in embedder_files(name, workspace)]
    read += [Path(path).expanduser() for path in (settings.detections, config) if path is not None]
    flat = [path for pair in files for path in pair]
    refuse_inputs_as_outputs(flat, read, "name another folder with --output")
    there = [path for path in flat if path.exists()]
    if there and not overwrite:
        raise InputError(f"{there[0]}: exists already; add --overwrite, or name another folder with --output")
    return list(files)


def _embedders(settings: ProbeSettings, workspace: Workspace) -> list[tuple[str, PatchEmbedder]]:
    from tasks.embedders import is_run, resolve_embedder, track_default
    from tasks.services import mlflow_session

    names: list[str | None] = list(settings.embedder)
    if not names:
        names = [None, "colour"] if track_default(workspace) is None else ["colour"]
    with mlflow_session(workspace) if any(is_run(name) for name in names) else nullcontext():
        return [
            (
                name or "latest training",
                resolve_embedder(name, workspace, reid=settings.reid, precision=settings.precision),
            )
            for name in names
        ]


def _store(
    results: list[Probed], embedders: list[tuple[str, PatchEmbedder]], settings: ProbeSettings, workspace: Workspace
) -> dict[str, str | None]:
    """Name of the embedder → the file that its calibration was written to; None if there were too few pairs."""
    from tasks.calibration import store_calibration

    stored: dict[str, str | None] = {}
    for index, (name, embedder) in enumerate(embedders):
        measured = [result.features[index].score.calibration for result in results]
        spec = name if name in (*settings.embedder, "colour") else None
        path = store_calibration(spec, embedder, measured, workspace)
        stored[name] = None if path is None else str(path)
        pairs = sum(score.pairs for score in measured)
        said = f"not stored: it rests on {pairs} pairs" if path is None else f"written: {path}"
        click.echo(f"calibration of {name}: {said}", err=True)
    return stored


def _show(result: Probed, *, to_stderr: bool) -> None:
    from rich.console import Console

    from ssat.report.probe import calibration_table, probe_table

    console = Console(stderr=to_stderr)
    console.print(probe_table(result))
    console.print(calibration_table(result))
    for note in result.notes:
        console.print(f"note: {note}", markup=False, soft_wrap=True)


def _write(result: Probed, files: tuple[Path, Path] | None) -> None:
    if files is None:
        return
    from ssat.json_values import json_values
    from ssat.report.probe import probe_figure
    from ssat.workspace import committed

    table, picture = files
    table.parent.mkdir(parents=True, exist_ok=True)
    with committed(table) as temporary:
        temporary.write_text(json.dumps(json_values(asdict(result)), indent=1))
    probe_figure(result, picture)
    for path in files:
        click.echo(f"written: {path}", err=True)
