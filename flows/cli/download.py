"""`ssat download`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from flows.cli.options import common_options, print_json
from ssat.errors import InputError

if TYPE_CHECKING:
    from ssat.mot.data_sets import DataSet, DownloadedSet


@click.command(epilog="Example: ssat download MOT17 --folder data")
@click.argument("name", required=False)
@common_options
@click.option("--folder", type=click.Path(path_type=Path), help="Gets the data set.  [default: WORKSPACE/mot]")
@click.option("--labels-only", is_flag=True, help="The archive without images: ground truth and public detections.")
@click.option("--url", help="Address of a mirror of the zip.  [default: the publisher's]")
@click.option("--sha256", help="What the zip must have; by default it is recorded.")
def command(
    name: str | None,
    workspace: str,
    config: Path | None,
    as_json: bool,
    debug: bool,
    folder: Path | None,
    labels_only: bool,
    url: str | None,
    sha256: str | None,
) -> None:
    """Fetch a public data set for --mot, where its publisher offers it without an account.

    NAME: MOT15, MOT16, MOT17 or MOT20. Of DanceTrack, SportsMOT and KITTI it says where to get them. Without NAME: list
    all. An interrupted download is resumed.
    """
    from ssat.mot.data_sets import DATA_SETS, archive_address, data_set_named

    if name is None:
        if folder or labels_only or url or sha256:
            raise InputError("NAME is missing: the data set to fetch; run `ssat download` without options to list them")
        _show(list(DATA_SETS.values()), as_json)
        return
    data_set = data_set_named(name)
    if url is None:
        url = archive_address(data_set, labels_only=labels_only)
    elif labels_only:
        raise InputError("--labels-only and --url exclude each other: the address names one archive")
    place = (folder or Path(workspace) / "mot").expanduser()
    click.echo(f"{data_set.name}: {url} into {place} ({data_set.licence}; {data_set.page})", err=True)
    result = fetch_data_set(data_set, place, url, sha256)
    click.echo(f"data set: {result.folder}; ssat benchmark --mot {result.folder}", err=as_json)
    if as_json:
        print_json(result)


def fetch_data_set(data_set: DataSet, folder: Path, url: str, sha256: str | None) -> DownloadedSet:
    """Fetch and unpack a data set below `folder`, with a progress bar.

    Raises:
        InputError: as `download_data_set`.
    """
    from ssat.mot.data_sets import download_data_set
    from tasks.progress import close_progress, show_progress

    def progress(done: int, total: int | None) -> None:
        show_progress(done >> 20, (total or done) >> 20, f"MiB of {data_set.name}")

    try:
        return download_data_set(data_set, folder.expanduser(), url, sha256, progress)
    finally:
        close_progress()


def _show(data_sets: list[DataSet], as_json: bool) -> None:
    from rich.console import Console
    from rich.table import Table

    table = Table("data set", "size", "without images", "licence", "publisher", title="Data sets for --mot")
    for data_set in data_sets:
        table.add_row(
            data_set.name,
            f"{data_set.archive_gb:g} GB" if data_set.archive else "by agreement",
            "--labels-only" if data_set.labels else "",
            data_set.licence,
            data_set.page,
        )
    Console(stderr=as_json).print(table)
    if as_json:
        print_json({"data_sets": data_sets})
