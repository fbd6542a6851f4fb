"""The environment of a run: code version, libraries, hardware, variables.

No names of people, hosts or folders.
"""

from __future__ import annotations

import functools
import importlib.metadata
import os
import platform
import subprocess
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

_LIBRARIES = ("ssat", "torch", "torchvision", "numpy", "av", "pyarrow", "prefect", "ray", "mlflow", "yt-dlp")


@dataclass(frozen=True)
class Hardware:
    """This machine; `gpus` is None without one."""

    system: str
    cpu: str
    cpus: int | None
    memory_gib: float
    gpus: str | None

    def as_json(self) -> Mapping[str, str | int | float | None]:
        """Return what is there."""
        return {name: value for name, value in vars(self).items() if name != "gpus" or value is not None}


@dataclass(frozen=True)
class Environment:
    """Versions of the libraries, and the hardware."""

    versions: dict[str, str]
    hardware: Hardware


@functools.cache
def environment_facts() -> Environment:
    """Library versions and hardware."""
    import psutil

    versions = {"python": platform.python_version()}
    for name in _LIBRARIES:
        try:
            versions[name] = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            continue
    hardware = Hardware(
        system=f"{platform.system()} {platform.machine()}",
        cpu=cpu_name(),
        cpus=psutil.cpu_count(logical=True),
        memory_gib=round(psutil.virtual_memory().total / 1024**3, 1),
        gpus=", ".join(gpu_names()) or None,
    )
    return Environment(versions, hardware)


@functools.cache
def git_commit() -> str | None:
    """Return the commit of this package's checkout, with `-dirty` if tracked files differ; None outside one."""
    folder = Path(__file__).resolve().parents[1]
    if not (folder / ".git").exists():
        return None
    try:
        commit = _git(folder, "rev-parse", "HEAD").strip()
        changed = _git(folder, "status", "--porcelain", "--untracked-files=no").strip()
    except (OSError, subprocess.SubprocessError):
        return None
    return f"{commit}-dirty" if changed else commit


def _git(folder: Path, *arguments: str) -> str:
    command = ["git", "-C", str(folder), *arguments]
    return subprocess.run(command, capture_output=True, text=True, timeout=10, check=True).stdout


def ray_is_named() -> bool:
    """Whether RAY_ADDRESS names a cluster."""
    return os.environ.get("RAY_ADDRESS", "local") != "local"


def available_cpus() -> int:
    """Return the cores this process may run on."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def cpu_name() -> str:
    """Return the processor's model name, or its architecture where the system does not say."""
    try:
        for line in Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines():
            if line.startswith("model name"):
                return line.split(":", 1)[1].strip()
    except OSError:
        pass
    return platform.processor() or platform.machine()


def gpu_names() -> list[str]:
    """Return names of the NVIDIA GPUs that the driver reports; empty without one."""
    import pynvml

    try:
        pynvml.nvmlInit()
    except pynvml.NVMLError:
        return []
    try:
        handles = [pynvml.nvmlDeviceGetHandleByIndex(i) for i in range(pynvml.nvmlDeviceGetCount())]
        return [_text(pynvml.nvmlDeviceGetName(handle)) for handle in handles]
    except pynvml.NVMLError:
        return []
    finally:
        pynvml.nvmlShutdown()


def _text(name: str | bytes) -> str:
    return name.decode() if isinstance(name, bytes) else name


@contextmanager
def default_environment(defaults: dict[str, str]) -> Iterator[None]:
    """Set the variables that are not set yet, and remove those again."""
    added = [name for name in defaults if name not in os.environ]
    os.environ.update({name: defaults[name] for name in added})
    try:
        yield
    finally:
        for name in added:
            os.environ.pop(name, None)
