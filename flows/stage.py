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
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar, Generic, Literal, TypeVar

from ssat.settings import StageSettings
from ssat.workspace import Workspace

if TYPE_CHECKING:
    from rich.console import Console

S = TypeVar("S", bound=StageSettings)
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
        name: of the verb, the flow and the deployment.
        settings: the model; its section is a section of the configuration file.
        examples: command lines for the help.
        presets: which presets the verb offers.
        objects: the workspace may be an address in an object store.
    """

    name: ClassVar[str]
    settings: ClassVar[type[StageSettings]]
    examples: ClassVar[tuple[str, ...]] = ()
    presets: ClassVar[Presets] = "none"
    objects: ClassVar[bool] = False

    @property
    def summary(self) -> str:
        """One line for the list of verbs and the deployment."""
        return (type(self).__doc__ or "").strip().splitlines()[0]

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


# Stage → module of `flows/stages/`, whose `STAGE` it is. In the order of the help.
STAGES: dict[str, str] = {
    "collect": "flows.stages.collect",
    "decode": "flows.stages.decode",
    "train": "flows.stages.train",
    "benchmark": "flows.stages.benchmark",
    "colours": "flows.stages.colours",
    "adapt": "flows.stages.adapt",
    "verify": "flows.stages.verify",
}


@functools.cache
def _loaded(module: str) -> Stage[Any, Any]:
    stage: Stage[Any, Any] = importlib.import_module(module).STAGE
    return stage


def stage_named(name: str) -> Stage[Any, Any]:
    """Return the stage of that name."""
    return _loaded(STAGES[name])


def check_stage(name: str, workspace: Workspace, settings: StageSettings, *, follows: bool = False) -> None:
    """Refuse what the stage of that name cannot be run with.

    Args:
        name: of the stage.
        workspace: opened for it.
        settings: of the stage.
        follows: the stages before it run first; what they leave in the workspace may still be missing.

    Raises:
        InputError: as `Stage.check` and, unless it follows others, `Stage.check_ready`.
    """
    stage = stage_named(name)
    stage.check(workspace, settings)
    if not follows:
        stage.check_ready(workspace, settings)
