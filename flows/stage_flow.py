"""The Prefect flow of a stage, made from the stage."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable
from typing import Any

from prefect.flows import Flow

from flows.stage import R, S, Stage, stage_named
from ssat.settings import StageSettings
from tasks.services import ray_session


@functools.cache
def stage_flow(name: str) -> Flow[..., Any]:
    """Return the flow of the stage of that name: `flow(workspace, settings)` gives the stage's result.

    A stage that runs others takes their settings as well, as further parameters.

    It starts Ray where the stage needs it and none is connected; MLflow and Prefect are up to the caller.
    """
    stage = stage_named(name)

    def work(workspace: str, *parameters: StageSettings | None) -> Any:
        settings = stage.bundled(dict(zip(stage.models, parameters, strict=True)))
        opened = stage.open(workspace, settings)
        if not stage.needs(settings).ray:
            return stage.run(opened, settings)
        with ray_session(opened):
            return stage.run(opened, settings)

    return Flow(with_signature(work, stage, Any), name=stage.name, persist_result=False)


def run_stage(stage: Stage[S, R], workspace: str, settings: S) -> R:
    """Run a stage as a flow of its own, below the flow run that is going on, if any."""
    work: Callable[..., R] = stage_flow(stage.name)  # its types as Prefect states them are those of coroutines
    return work(workspace, **stage.parameters(settings))


def with_signature(function: Callable[..., Any], stage: Stage[Any, Any], returns: Any) -> Callable[..., Any]:
    """Give a function of (workspace, *parameters) the stage's name, help and models: Prefect makes its form of them."""
    parameter = inspect.Parameter
    kind = parameter.POSITIONAL_OR_KEYWORD
    function.__name__ = function.__qualname__ = stage.name
    function.__doc__ = type(stage).__doc__
    annotations = {"workspace": str, **stage.annotations}
    function.__annotations__ = {**annotations, "return": returns}
    parameters = [parameter(name, kind, annotation=annotation) for name, annotation in annotations.items()]
    function.__signature__ = inspect.Signature(parameters, return_annotation=returns)  # type: ignore[attr-defined]
    return function
