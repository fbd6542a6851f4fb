"""Public data sets by name: where they are, under which licence, and how their folders lie."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from ssat.errors import InputError
from ssat.mot.download import Progress, download_sequences, read_download

_CC_BY_NC_SA = "CC BY-NC-SA 3.0: non-commercial use, with attribution"
_MOTCHALLENGE = "https://motchallenge.net/data"


@dataclass(frozen=True)
class DataSet:
    """A data set that `find_sequences` reads as its publisher packs it.

    Attributes:
        page: of the publisher: terms and downloads.
        licence: in a few words; the publisher's page counts.
        archive: address of a zip that needs no account; empty: there is none.
        archive_gb: its size as the publisher states it, in GB.
        labels: address of a zip without images; empty: there is none.
        access: what to do where there is no such zip.
    """

    name: str
    page: str
    licence: str
    archive: str = ""
    archive_gb: float = 0.0
    labels: str = ""
    access: str = ""


@dataclass(frozen=True)
class DownloadedSet:
    """A data set that was fetched.

    Attributes:
        folder: of the data set: what setting `mot` takes.
        url: of the archive.
        bytes: of the archive.
        sha256: of the archive.
    """

    name: str
    folder: str
    url: str
    bytes: int
    sha256: str
    licence: str


def _motchallenge(name: str, archive_gb: float, *, labels: bool = True) -> DataSet:
    archive = f"{_MOTCHALLENGE}/{name}.zip"
    without_images = f"{_MOTCHALLENGE}/{name}Labels.zip" if labels else ""
    return DataSet(name, f"{_MOTCHALLENGE}/{name}/", _CC_BY_NC_SA, archive, archive_gb, without_images)


DATA_SETS = {
    data_set.name.lower(): data_set
    for data_set in (
        _motchallenge("MOT15", 1.3, labels=False),
        _motchallenge("MOT16", 1.9),
        _motchallenge("MOT17", 5.5),
        _motchallenge("MOT20", 5.0),
        DataSet(
            "DanceTrack",
            "https://github.com/DanceTrack/DanceTrack",
            "annotations CC BY 4.0; videos for non-commercial research only",
            access="read the terms on that page, then fetch the zips from the storage that it links and unpack them as "
            "dancetrack/train, dancetrack/val and dancetrack/test",
        ),
        DataSet(
            "SportsMOT",
            "https://github.com/MCG-NJU/SportsMOT",
            "CC BY-NC 4.0: non-commercial use, with attribution",
            access="register for the challenge or the storage that the page links, accept its terms, then unpack "
            "sportsmot_publish.zip",
        ),
        DataSet(
            "KITTI",
            "https://www.cvlibs.net/datasets/kitti/eval_tracking.php",
            _CC_BY_NC_SA,
            access="create an account there, accept the terms, then unpack data_tracking_image_2.zip and "
            "data_tracking_label_2.zip into one folder",
        ),
    )
}


def data_set_named(name: str) -> DataSet:
    """Return the data set of that name, in any case.

    Raises:
        InputError: there is none.
    """
    found = DATA_SETS.get(name.lower())
    if found is None:
        names = ", ".join(data_set.name for data_set in DATA_SETS.values())
        raise InputError(f"{name!r}: no data set of that name; expected one of {names}")
    return found


def archive_address(data_set: DataSet, *, labels_only: bool = False) -> str:
    """Return the address of the publisher's zip.

    Raises:
        InputError: the publisher offers none without an account or an agreement; says what to do instead.
    """
    if not data_set.archive:
        raise InputError(
            f"{data_set.name}: its publisher offers no archive without an agreement or an account; expected a plain "
            f"download. Open {data_set.page} ({data_set.licence}), {data_set.access}, and name "
            "the folder with setting `mot`"
        )
    if labels_only and not data_set.labels:
        raise InputError(
            f"{data_set.name}: its publisher offers no archive without images; expected one. Fetch the one with images"
        )
    return data_set.labels if labels_only else data_set.archive


def download_data_set(
    data_set: DataSet, folder: Path, url: str, sha256: str | None = None, progress: Progress = lambda done, total: None
) -> DownloadedSet:
    """Fetch the archive at `url` and unpack it below `folder`; does only what is missing.

    Raises:
        InputError: as `download_sequences`.
    """
    target = download_sequences(folder, url, sha256, progress)
    facts = read_download(target)
    return DownloadedSet(data_set.name, str(target), facts.url, facts.bytes, facts.sha256, data_set.licence)
