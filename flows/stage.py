"""The contract of a stage: settings, checks before services start, work, result and summary.

A stage is one class in one file of `flows/stages/`, its name in `STAGES`. From it follow the verb
(`flows/cli/stage_command.py`), the Prefect flow (`flows/stage_flow.py`), its deployment (`flows/deployments.py`), its
section of the configuration file and its part of docs/settings.md. This module and those of the stages import neither
Prefect nor Ray, MLflow or torch: a verb's help and what `check` refuses wait for none of them.
"""

from __future__ import annotations

import functools
import importlib
from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass
from types import UnionType
from typing import TYPE_CHECKING, Any, ClassVar, Generic, Literal, TypeVar, cast, get_args, get_type_hints

from ssat.frames.settings import DecodeSettings
from ssat.settings import StageSettings
from ssat.workspace import Workspace

if TYPE_CHECKING:
    from rich.console import Console

S = TypeVar("S")  # the settings of a stage, or the bundle of them
R = TypeVar("R")

Presets = Literal["none", "training", "association"]


@dataclass(frozen=True)
class Needs:
    """The services that a stage works with, beside Prefect."""

    ray: bool = False
    mlflow: bool = False


class Stage(ABC, Generic[S, R]):
    """A step of the pipeline that people run by itself. The docstring is the verb's help, its first line the summary.

    Attributes:
        name: of the verb, the flow and the deployment. `study_clips` is the verb `study clips`.
        settings: the model; its section is a section of the configuration file.
        bundle: of a stage that runs others: a dataclass with its own settings as `settings` and those of the others
            under their names, None where they may be left out. Its fields are the parameters of the flow; `S` is the
            bundle then.
        filled: section of another → its setting → the stage's own setting that gives the value on the command line.
        decided: section → settings of the others that it sets itself, and the verb does not offer.
        examples: command lines for the help.
        presets: which presets the verb offers.
        own_presets: parameter → the preset that it takes whatever the verb is told; None for none.
        objects: the workspace may be an address in an object store.
    """

    name: ClassVar[str]
    settings: ClassVar[type[StageSettings]]
    bundle: ClassVar[type[Any] | None] = None
    filled: ClassVar[Mapping[str, Mapping[str, str]]] = {}
    decided: ClassVar[Mapping[str, frozenset[str]]] = {}
    examples: ClassVar[tuple[str, ...]] = ()
    presets: ClassVar[Presets] = "none"
    own_presets: ClassVar[Mapping[str, str | None]] = {}
    objects: ClassVar[bool] = False

    @property
    def summary(self) -> str:
        """One line for the list of verbs and the deployment."""
        return (type(self).__doc__ or "").strip().splitlines()[0]

    @property
    def models(self) -> dict[str, type[StageSettings]]:
        """Parameter of the flow → its settings model."""
        return {name: _model(hint) for name, hint in self.annotations.items()}

    @property
    def annotations(self) -> Mapping[str, type[StageSettings] | UnionType]:
        """Parameter of the flow → its type: a settings model, or that or None."""
        return {"settings": self.settings} if self.bundle is None else get_type_hints(self.bundle)

    def left_out(self, settings: StageSettings) -> frozenset[str]:
        """Return the parameters that are None with these settings of the stage itself."""
        return frozenset()

    def bundled(self, parameters: Mapping[str, StageSettings | None]) -> S:
        """Return what `run` takes, from the parameters of the flow."""
        if self.bundle is None:
            return cast(S, parameters["settings"])
        return cast(S, self.bundle(**parameters))

    def parameters(self, settings: S) -> dict[str, StageSettings | None]:
        """Return the parameters of the flow, from what `run` takes."""
        if self.bundle is None:
            return {"settings": cast(StageSettings, settings)}
        return {name: getattr(settings, name) for name in self.models}

    def needs(self, settings: S) -> Needs:
        """Return the services that `run` works with."""
        return Needs()

    def open(self, workspace: str, settings: S) -> Workspace:
        """Open the workspace as the stage uses it.

        Raises:
            InputError: it has no such place, or may not be written.
        """
        return Workspace.open(workspace, objects=self.objects)

    def check(self, workspace: Workspace, settings: S) -> None:
        """Refuse what can be refused before a service starts or a stage runs: paths, files, sequences, resources.

        Raises:
            InputError: names the file or setting, what is wrong with it, what was expected and what to do.
        """

    def check_ready(self, workspace: Workspace, settings: S) -> None:
        """Refuse where the stages before it have not left what it works on; not asked where they run first.

        Raises:
            InputError: names what is missing, and the stage that makes it.
        """

    def finished(self, workspace: Workspace, settings: S) -> R | None:
        """Return the result of the same work done before, if it can be told without a service."""
        return None

    @abstractmethod
    def run(self, workspace: Workspace, settings: S) -> R:
        """Do the work, inside a Prefect flow run and with the services of `needs`; done before, it is not done again.

        Raises:
            SsatError: what a user can put right.
        """

    @abstractmethod
    def show(self, result: R, workspace: Workspace, console: Console) -> None:
        """Print the result for people."""

    @abstractmethod
    def message(self, result: R) -> str:
        """Return the result in one line, for Prefect's page and the webhook."""

    def failure(self, result: R) -> str:
        """Return why a result is a failure, in one line; an empty text if it is none."""
        return ""


def _model(annotation: Any) -> type[StageSettings]:
    model: type[StageSettings] = next(part for part in get_args(annotation) or (annotation,) if part is not type(None))
    return model


# Stage → module of `flows/stages/`, whose `STAGE` it is unless a name follows. In the order of the help.
STAGES: dict[str, str] = {
    "collect": "flows.stages.collect",
    "decode": "flows.stages.decode",
    "train": "flows.stages.train",
    "benchmark": "flows.stages.benchmark",
    "run": "flows.stages.run",
    "demo": "flows.stages.demo",
    "colours": "flows.stages.colours",
    "adapt": "flows.stages.adapt",
    "scale": "flows.stages.scale",
    "tune": "flows.stages.tune",
    "study_extensions": "flows.stages.studies:EXTENSIONS",
    "study_clips": "flows.stages.studies:CLIPS",
    "study_features": "flows.stages.studies:FEATURES",
    "study_strong": "flows.stages.studies:STRONG",
    "study_thresholds": "flows.stages.studies:THRESHOLDS",
    "study_trackers": "flows.stages.studies:TRACKERS",
    "verify": "flows.stages.verify",
}


@functools.cache
def _loaded(place: str) -> Stage[Any, Any]:
    module, _, name = place.partition(":")
    stage: Stage[Any, Any] = getattr(importlib.import_module(module), name or "STAGE")
    return stage


def stage_named(name: str) -> Stage[Any, Any]:
    """Return the stage of that name."""
    return _loaded(STAGES[name])


def check_stage(name: str, workspace: Workspace, settings: Any, *, follows: bool = False) -> None:
    """Refuse what the stage of that name cannot be run with.

    Args:
        name: of the stage.
        workspace: opened for it.
        settings: of the stage, or the bundle.
        follows: the stages before it run first; what they leave in the workspace may still be missing.

    Raises:
        InputError: as `Stage.check` and, unless it follows others, `Stage.check_ready`.
    """
    stage = stage_named(name)
    stage.check(workspace, settings)
    if not follows:
        stage.check_ready(workspace, settings)


def check_pipeline(workspace: Workspace, stages: Mapping[str, StageSettings | None]) -> None:
    """Refuse what a run of several stages cannot be done with, before hours of work.

    Args:
        workspace: of the run.
        stages: stage → its settings, in their order; None for one that is left out.

    Raises:
        InputError: as `check_stage`, or a stage throws away what the next one needs.
    """
    from tasks.checks import refuse_dry_writer

    first = next(iter(stages))
    for name, settings in stages.items():
        if isinstance(settings, DecodeSettings):
            refuse_dry_writer(settings)
        if settings is not None:
            check_stage(name, workspace, settings, follows=name != first)
