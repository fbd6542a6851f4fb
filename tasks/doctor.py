"""Checks of the machine and the services, with advice."""

from __future__ import annotations

import datetime
import importlib.metadata
import os
import platform
import shutil
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from ssat.errors import SsatError
from ssat.redaction import without_credentials
from ssat.workspace import Workspace
from tasks import services
from tasks.databases import check_database, mlflow_schema, prefect_schema
from tasks.environment import cpu_name, gpu_names

State = Literal["ok", "note", "bad"]

# YouTube changes every few weeks; a yt-dlp much older than that fails on most of its videos.
_YT_DLP_DAYS = 60
_DISK_GIB = {"bad": 1.0, "note": 20.0}
_MEMORY_GIB = 4.0
_DECODERS = {"h264": "h264", "hevc": "hevc", "vp9": "vp9", "av1": "libdav1d", "mpeg4": "mpeg4"}


@dataclass(frozen=True)
class Check:
    """One line: `ok`; `note`, where the embedded default works but something is missing; `bad`, where it does not."""

    name: str
    state: State
    found: str
    advice: str = ""


def examine(workspace: str | Path, *, start: bool = False) -> Iterator[Check]:
    """Yield all checks. With `start`, start the services once, which takes up to a minute."""
    yield python_version()
    yield requirements()
    opened, check = workspace_access(workspace)
    local = opened.root if opened is not None else workspace
    yield check
    yield free_disk(local)
    yield memory()
    yield gpu()
    yield codecs()
    yield refinement(local)
    yield yt_dlp()
    yield javascript()
    yield databases(local)
    yield prefect()
    yield ray()
    yield mlflow()
    if start and opened is not None:
        yield from started_services(opened)


def python_version() -> Check:
    """Python's version."""
    version = platform.python_version()
    if tuple(int(part) for part in platform.python_version_tuple()[:2]) >= (3, 11):
        return Check("python", "ok", version)
    return Check("python", "bad", version, "install Python 3.11 or later, then `make setup`")


def requirements() -> Check:
    """Return whether every direct dependency is installed in a version that the project allows."""
    from packaging.requirements import Requirement

    problems, checked = [], 0
    for line in importlib.metadata.requires("ssat") or []:
        requirement = Requirement(line)
        # `ssat doctor` is only available with the pipeline.
        if requirement.marker and not any(requirement.marker.evaluate({"extra": extra}) for extra in ("", "pipeline")):
            continue
        checked += 1
        try:
            version = importlib.metadata.version(requirement.name)
        except importlib.metadata.PackageNotFoundError:
            problems.append(f"{requirement.name} is missing")
            continue
        if not requirement.specifier.contains(version, prereleases=True):
            problems.append(f"{requirement.name} {version} is not {requirement.specifier}")
    if problems:
        return Check("versions", "bad", "; ".join(problems), "run `make setup`, which installs the locked versions")
    shown = ", ".join(f"{name} {importlib.metadata.version(name)}" for name in ("torch", "prefect", "ray", "mlflow"))
    return Check("versions", "ok", f"{checked} dependencies as required ({shown})")


def workspace_access(root: str | Path) -> tuple[Workspace | None, Check]:
    """Return whether the workspace can be written."""
    try:
        workspace = Workspace.open(root, objects=True)
    except SsatError as error:
        return None, Check("workspace", "bad", str(error), "give a folder you may write with --workspace")
    if workspace.remote is not None:
        found = f"{workspace.remote} answers; what is unfinished goes to {workspace.root}"
        return workspace, Check("workspace", "note", found, "for `ssat decode` and `ssat verify` alone")
    return workspace, Check("workspace", "ok", f"{workspace.root} is writable")


def free_disk(root: str | Path) -> Check:
    """Return free space where the workspace is."""
    path = Path(root).expanduser().resolve()
    while not path.is_dir() and path != path.parent:
        path = path.parent
    free = shutil.disk_usage(path).free / 1024**3
    found = f"{free:.0f} GiB free"
    if free < _DISK_GIB["bad"]:
        return Check("disk", "bad", found, "free some space or give a workspace on another disk")
    if free < _DISK_GIB["note"]:
        return Check("disk", "note", found, "1,600 clips need about 10 GiB as clips and frames")
    return Check("disk", "ok", found)


def memory() -> Check:
    """Memory and cores, and the shared memory that Ray's object store uses."""
    import psutil

    total = psutil.virtual_memory().total / 1024**3
    found = f"{services.available_cpus()} cores ({cpu_name()}), {total:.1f} GiB memory"
    if total < _MEMORY_GIB:
        return Check("machine", "note", found, f"below {_MEMORY_GIB:.0f} GiB use --preset quick and one decode worker")
    shared = Path("/dev/shm")  # noqa: S108 - asked for its size, not written
    if shared.is_dir() and shutil.disk_usage(shared).total < 512 * 1024**2:
        advice = "Ray's object store falls back to disk; in a container give --shm-size=1g"
        return Check("machine", "note", f"{found}, small /dev/shm", advice)
    return Check("machine", "ok", found)


def gpu() -> Check:
    """NVIDIA GPUs, and whether torch can use them."""
    names = gpu_names()
    if not names:
        return Check("gpu", "note", "none", "training and features run on the CPU; --preset quick is made for that")
    import torch

    if torch.cuda.is_available():
        return Check("gpu", "ok", f"{', '.join(names)} (CUDA {torch.version.cuda})")
    advice = f"torch {torch.__version__} was built for CUDA {torch.version.cuda}: update the driver to one that runs it"
    return Check("gpu", "note", f"{', '.join(names)}, but torch cannot use it", advice)


def codecs() -> Check:
    """Return whether PyAV's FFmpeg encodes H.264 and decodes what clips come in."""
    import av

    missing = [name for name, decoder in _DECODERS.items() if not _has_codec(decoder, "r")]
    if not _has_codec("libx264", "w"):
        advice = "reinstall PyAV from its wheel (`make setup`)"
        return Check("codecs", "bad", f"PyAV {av.__version__} without the libx264 encoder", advice)
    if missing:
        advice = "clips in these codecs will fail as MEDIA; reinstall PyAV from its wheel (`make setup`)"
        return Check("codecs", "note", f"PyAV {av.__version__}, no decoder for {', '.join(missing)}", advice)
    return Check("codecs", "ok", f"PyAV {av.__version__}: encodes libx264, decodes {', '.join(_DECODERS)}")


def refinement(root: str | Path) -> Check:
    """CenterTrack's checkpoint, which is not part of the package."""
    from ssat.detection.checkpoint import WHERE, checkpoint_path
    from ssat.workspace import sha256_of

    path = checkpoint_path(None, Path(root).expanduser().resolve())
    if not path.is_file():
        return Check("refinement", "note", f"no checkpoint at {path}", f"only for --refine. {WHERE}")
    return Check("refinement", "ok", f"{path.name}, sha256 {sha256_of(path)[:16]}")


def _has_codec(name: str, mode: Literal["r", "w"]) -> bool:
    from av.codec import Codec
    from av.codec.codec import UnknownCodecError

    try:
        Codec(name, mode)
    except UnknownCodecError:
        return False
    return True


def yt_dlp(today: datetime.date | None = None) -> Check:
    """yt-dlp's version, which is its date."""
    from yt_dlp.version import __version__ as version

    year, month, day = (int(part) for part in version.split(".")[:3])
    age = ((today or datetime.datetime.now(datetime.UTC).date()) - datetime.date(year, month, day)).days
    if age > _YT_DLP_DAYS:
        advice = (
            "YouTube may refuse it: `.venv/bin/uv pip install --upgrade yt-dlp`; folders and other sites still work"
        )
        return Check("yt-dlp", "note", f"{version}, {age} days old", advice)
    return Check("yt-dlp", "ok", f"{version}, {max(age, 0)} days old")


def javascript() -> Check:
    """Check for a JavaScript runtime and yt-dlp's solver scripts, which most formats of YouTube need."""
    import yt_dlp  # noqa: F401 - registers the runtimes
    from yt_dlp.globals import supported_js_runtimes

    advice = "YouTube needs one, other sources do not: install deno 2 or Node.js 22 or later"
    found, usable = [], False
    for name, runtime in supported_js_runtimes.value.items():
        info = runtime().info
        if info is not None:
            found.append(f"{name} {info.version}" + ("" if info.supported else " (too old)"))
            usable = usable or info.supported
    if not usable:
        return Check("javascript", "note", ", ".join(found) or "no runtime", advice)
    try:
        scripts = f"yt-dlp-ejs {importlib.metadata.version('yt-dlp-ejs')}"
    except importlib.metadata.PackageNotFoundError:
        advice = "YouTube needs yt-dlp's solver scripts: `.venv/bin/uv pip install yt-dlp-ejs`"
        return Check("javascript", "note", f"{', '.join(found)}, no yt-dlp-ejs", advice)
    return Check("javascript", "ok", f"{', '.join(found)}, {scripts}")


def databases(root: str | Path) -> Check:
    """Return the databases of the embedded Prefect and MLflow in the workspace."""
    folder = Path(root).expanduser().resolve()
    files = {
        folder / "prefect" / "prefect.db": prefect_schema(),
        folder / "mlflow" / "mlflow.db": mlflow_schema(),
    }
    present = {file: schema for file, schema in files.items() if file.exists()}
    try:
        for file, schema in present.items():
            check_database(file, schema)
    except SsatError as error:
        problem, _, advice = str(error).partition(". ")
        return Check("databases", "bad", problem, advice or "give another workspace")
    names = ", ".join(schema.service for schema in present.values())
    return Check("databases", "ok", f"{names} can be read and written" if names else "none yet")


def prefect() -> Check:
    """Prefect: embedded, or the server that PREFECT_API_URL names."""
    embedded = "a temporary server for each command"
    return _service("prefect", "PREFECT_API_URL", embedded, services.check_prefect, "server")


def ray() -> Check:
    """Ray: embedded, or the cluster that RAY_ADDRESS names."""
    return _service("ray", "RAY_ADDRESS", "a local cluster for each command", services.check_ray, "cluster")


def mlflow() -> Check:
    """MLflow: embedded, or the store that MLFLOW_TRACKING_URI names."""
    return _service("mlflow", "MLFLOW_TRACKING_URI", "SQLite in the workspace", services.check_mlflow, "server")


def _service(name: str, variable: str, embedded: str, check: Callable[[str], object], remote: str) -> Check:
    address = os.environ.get(variable)
    if not address or (name == "ray" and address == "local"):
        return Check(name, "ok", f"embedded: {embedded}")
    try:
        check(address)
    except SsatError as error:
        return Check(name, "bad", str(error), f"start the {remote}, or unset {variable}")
    return Check(name, "ok", f"answers at {without_credentials(address)}")


def started_services(workspace: Workspace) -> Iterator[Check]:
    """Start, or connect to, each service once and check that it answers."""
    import time

    sessions: dict[str, Callable[[Workspace], AbstractContextManager[object]]] = {
        "prefect": services.prefect_session,
        "ray": services.ray_session,
        "mlflow": services.mlflow_session,
    }
    for name, session in sessions.items():
        began = time.monotonic()
        try:
            with session(workspace):
                found = f"started and answered in {time.monotonic() - began:.0f} s"
        except SsatError as error:
            yield Check(f"{name} start", "bad", str(error), "see docs/troubleshooting.md")
        else:
            yield Check(f"{name} start", "ok", found)
