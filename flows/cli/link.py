"""`ssat link`."""

from __future__ import annotations

import json
from collections.abc import Mapping
from contextlib import nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from flows.cli.options import build_settings, common_options, print_json, settings_options
from ssat.errors import InputError
from ssat.json_values import json_values
from ssat.pipeline.settings import LinkSettings

if TYPE_CHECKING:
    from ssat.embedding.protocol import PatchEmbedder
    from ssat.pipeline.linking import Linked
    from ssat.workspace import Workspace


@click.command(epilog="Example: ssat link workspace/tracks/street.txt street.mp4")
@click.argument("result", type=click.Path(path_type=Path))
@click.argument("footage", metavar="INPUT")
@common_options
@click.option(
    "--output",
    type=click.Path(path_type=Path),
    help="Folder of the joined result; default: linked/ in the folder of RESULT.",
)
@click.option("--overwrite", is_flag=True, help="Replace files that an earlier run left in that folder.")
@settings_options(LinkSettings)
def command(
    result: Path,
    footage: str,
    workspace: str,
    config: Path | None,
    as_json: bool,
    debug: bool,
    output: Path | None,
    overwrite: bool,
    link_given: dict[str, Any],
) -> None:
    """Join the tracks of a finished result across absences, so that returning people keep their identity.

    Beyond the paper, and not online. RESULT is a file of `ssat track` (NAME.txt); INPUT the video, folder of images or
    sequence that was tracked. Tracks that share a frame are different people: from how alike they look follows how
    alike two tracks must be. Writes NAME.txt with the new identities, NAME.link.json and, of every join, both sides
    as a picture, NAME.link.png.
    """
    settings = build_settings(LinkSettings, config=config, preset=None, given=link_given)

    from ssat.mot.rows import read_results
    from ssat.pipeline.inputs import open_input
    from ssat.pipeline.linking import link_result
    from ssat.video.streams import is_stream
    from ssat.workspace import Workspace
    from tasks.embedders import check_embedder, track_default
    from tasks.progress import progress_bar

    place = Workspace.open(workspace)
    result = result.expanduser()
    rows = read_results(result)
    if is_stream(footage):
        raise InputError(f"{footage}: a stream cannot be read a second time; expected the video that was tracked")
    opened = open_input(footage, None, settings.frame_rate, detecting=True)
    assert opened.source is not None  # noqa: S101 - open_input with detecting has frames; for the type checker
    files = _targets(output or result.parent / "linked", result, footage, settings, place, overwrite, config)
    spec = settings.embedder or track_default(place)
    check_embedder(spec, place)
    embedder = _resolve(spec, settings, place)
    with progress_bar(f"look at {opened.name}, frames", None) as advance:
        linked = link_result(opened.source, rows, opened.frame_rate, embedder, settings, advance)
    picture = files[2] if linked.relinked.joins else None
    answer = LinkAnswer(linked, spec or "latest training", embedder.digest, files[0], picture)
    written = _write(answer, files)
    _show(linked, written, to_stderr=as_json)
    if as_json:
        print_json(answer)


def _targets(
    folder: Path,
    result: Path,
    footage: str,
    settings: LinkSettings,
    workspace: Workspace,
    overwrite: bool,
    config: Path | None,
) -> tuple[Path, Path, Path]:
    """Return the files that will be written, checked before any work."""
    from ssat.output_paths import refuse_inputs_as_outputs
    from tasks.embedders import embedder_files

    folder = folder.expanduser()
    stem = result.stem
    files = (folder / f"{stem}.txt", folder / f"{stem}.link.json", folder / f"{stem}.link.png")
    read = [result, Path(footage).expanduser(), *embedder_files(settings.embedder, workspace)]
    refuse_inputs_as_outputs(files, [*read, *([config] if config else [])], "name another folder with --output")
    there = [path for path in files if path.exists()]
    if there and not overwrite:
        raise InputError(f"{there[0]}: exists already; add --overwrite, or name another folder with --output")
    return files


def _resolve(spec: str | None, settings: LinkSettings, workspace: Workspace) -> PatchEmbedder:
    from tasks.embedders import is_run, resolve_embedder
    from tasks.services import mlflow_session

    with mlflow_session(workspace) if is_run(spec) else nullcontext():
        return resolve_embedder(spec, workspace, reid=settings.reid, precision=settings.precision)


@dataclass(frozen=True)
class LinkAnswer:
    """The joined result, the embedder that joined it, and its files; `picture` is None without a join."""

    linked: Linked
    embedder: str
    embedder_digest: str
    results: Path
    picture: Path | None

    def facts(self) -> Mapping[str, object]:
        """Return the content of NAME.link.json."""
        linked, found = self.linked, self.linked.relinked
        return {
            "name": linked.name,
            "embedder": self.embedder,
            "embedder_digest": self.embedder_digest,
            "boxes": len(linked.rows),
            "looked_at": linked.looked_at,
            "identities_before": linked.identities_before,
            "identities": linked.identities,
            "joins": found.joins,
            "contested": found.contested,
            "left_alone": found.left_alone,
            "limit": found.limit,
            "different_pairs": found.different_pairs,
            "different_median": found.different_median,
        }

    def as_json(self) -> Mapping[str, object]:
        """Return the facts and the paths of the files."""
        picture = None if self.picture is None else str(self.picture)
        return {**self.facts(), "results": str(self.results), "picture": picture}


def _write(answer: LinkAnswer, files: tuple[Path, Path, Path]) -> list[Path]:
    from ssat.mot.rows import write_results
    from ssat.report.link import link_sheet
    from ssat.workspace import committed

    results, facts, picture = files
    results.parent.mkdir(parents=True, exist_ok=True)
    linked, rows = answer.linked, answer.linked.rows
    written = [write_results(results, rows.frames, rows.ids, rows.boxes, rows.scores), facts]
    with committed(facts) as temporary:
        temporary.write_text(json.dumps(json_values(answer.facts()), indent=1))
    if linked.relinked.joins:
        written.append(link_sheet(linked, picture))
    else:
        picture.unlink(missing_ok=True)
    return written


def _show(linked: Linked, written: list[Path], *, to_stderr: bool) -> None:
    from rich.console import Console

    from ssat.report.link import link_table

    console = Console(stderr=to_stderr)
    found = linked.relinked
    console.print(link_table(linked))
    notes = [
        f"tracks at {found.limit:.3f} or less were joined; two people of one frame are {found.different_median:.3f} "
        f"apart (median of {found.different_pairs} pairs)"
    ]
    if found.contested:
        notes.append(f"{found.contested} alike pairs were left apart: a third track is almost as alike")
    if found.left_alone:
        notes.append(f"{found.left_alone} tracks were left as they are: too short, or outside the picture")
    for note in notes:
        console.print(f"note: {note}", markup=False, soft_wrap=True)
    for path in written:
        console.print(f"written: {path}", markup=False, soft_wrap=True)
