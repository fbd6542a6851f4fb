"""The extra of the package that brings a module which is not installed."""

from __future__ import annotations

import re
from importlib.metadata import PackageNotFoundError, requires
from importlib.util import find_spec

from flows.stage import STAGES

_MODULES = {"pynvml": "nvidia-ml-py"}  # module → package, where their names differ
_DISTRIBUTION = "ssat"
_NOT_FOR_USERS = "dev"
# Further verbs that run flows, trainings or servers.
_PIPELINE_VERBS = frozenset(
    [
        "decode",
        "train",
        "benchmark",
        "run",
        "scale",
        "study",
        "tune",
        "compare",
        "promote",
        "deploy",
        "serve",
        "doctor",
        "ui",
    ]
)


def lacks_pipeline(verb: str) -> str | None:
    """Return what to install before `verb` can run at all, as a sentence; None if nothing is missing."""
    # `demo --tracking` needs none of it; `demo` says so when it starts its servers.
    if verb in _PIPELINE_VERBS or (verb in STAGES and verb != "demo"):
        for module in ("prefect", "ray", "mlflow"):
            if find_spec(module) is None:
                return missing_extra(ModuleNotFoundError(name=module))
    return None


def missing_extra(error: BaseException) -> str | None:
    """Return what to install for a module that is missing, as a sentence; None if no extra of ssat brings it.

    Args:
        error: it, or an error that it caused.
    """
    current: BaseException | None = error
    while current is not None:
        if isinstance(current, ModuleNotFoundError) and current.name:
            extra = _extra_of(current.name)
            if extra is not None:
                package = current.name.partition(".")[0]
                return f"package {package} is not installed; pip install 'ssat[{extra}]'"
        current = current.__cause__ or current.__context__
    return None


def _extra_of(module: str) -> str | None:
    root = module.partition(".")[0]
    wanted = _canonical(_MODULES.get(root, root))
    try:
        requirements = requires(_DISTRIBUTION) or []
    except PackageNotFoundError:  # run from a checkout that is not installed
        return None
    for requirement in requirements:
        name = re.match(r"[\w.-]+", requirement)
        extra = re.search(r"extra == ['\"]([\w-]+)['\"]", requirement)
        if name and extra and extra[1] != _NOT_FOR_USERS and _canonical(name[0]) == wanted:
            return extra[1]
    return None


def _canonical(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()
