"""The files that the inputs of one `ssat track` read and write."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from ssat.file_names import SEQUENCE_INFO
from ssat.output_paths import refuse_inputs_as_outputs
from ssat.pipeline.settings import TrackSettings
from ssat.workspace import Workspace
from tasks.embedders import embedder_files

if TYPE_CHECKING:
    from ssat.pipeline.inputs import TrackInput


def check_outputs(
    opened: Sequence[TrackInput],
    given: Iterable[str],
    settings: TrackSettings,
    workspace: Workspace,
    *,
    output: Path,
    explain: int | None = None,
    config: Path | None = None,
) -> None:
    """Check that no file of the results is a file that the command reads, whether it may be overwritten or not.

    Args:
        opened: the inputs that will be tracked.
        given: all inputs as they were named.
        output: folder of the results.
        explain: the identity that is explained, where one is.
        config: the configuration file.

    Raises:
        InputError: names the output and the input.
    """
    outputs = [output]
    for opened_input in opened:
        outputs += output_files(output, opened_input, settings, explain)
    inputs = [path for text in given for path in _read_of(text, settings.detections)]
    inputs += [path.parent for opened_input in opened for path in getattr(opened_input.source, "paths", ())[:1]]
    named = (settings.detections, settings.refinement.checkpoint, config)
    inputs += [Path(text).expanduser() for text in named if text is not None]
    if settings.embedder is not None:
        inputs += embedder_files(settings.embedder, workspace)
    if settings.refine != "none":
        from ssat.detection.checkpoint import checkpoint_path

        inputs.append(checkpoint_path(settings.refinement.checkpoint, workspace.root))
    refuse_inputs_as_outputs(outputs, inputs, "name another folder with --output")


def output_files(folder: Path, opened: TrackInput, settings: TrackSettings, explain: int | None = None) -> list[Path]:
    """Return the files that tracking `opened` writes, the text of results first."""
    endings = [".txt", ".parquet"]
    if settings.video and opened.source is not None:
        endings.append(".mp4")
    if explain is not None:
        endings += [f".explain-{explain}.txt", f".explain-{explain}.png"]
    return [folder / f"{opened.name}{ending}" for ending in endings]


def _read_of(given: str, detections: str | None) -> Iterator[Path]:
    """Yield the files and folders that are read of one input."""
    path = Path(given).expanduser()
    if (info := path / SEQUENCE_INFO).is_file():
        yield info
        yield from (path / part for part in ("det", "gt"))
        if detections is not None:
            yield path / "det" / detections
    else:
        yield path
