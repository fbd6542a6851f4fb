"""Comparison of recorded runs."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlparse

from prefect import task
from prefect.cache_policies import NO_CACHE

from ssat.errors import InputError
from ssat.report.compare import ComparedRun, SequenceChange, write_comparison
from ssat.workspace import Workspace
from tasks.recorded import BENCHMARKS, CHAMPION, TRAININGS, Recorded

_KINDS = {BENCHMARKS: "benchmark", TRAININGS: "training", "ssat-study": "study"}
_MAX_RUNS = 24
_MAX_CURVES = 6
# Main curves, in this order; others follow.
_CURVES = ("loss", "probe_auc", "held_out_recall_at_1", "accuracy", "target_cosine", "mot_idf1", "learning_rate")


@dataclass(frozen=True)
class RunOfComparison:
    """A run that was compared: its label in the tables, its id and what it records."""

    label: str
    run_id: str
    kind: str


@dataclass(frozen=True)
class ComparisonResult:
    """Compared runs.

    Attributes:
        runs: the first one is what the others are measured against.
        parameters: those that differ, a row each: "parameter" and a column per run.
        scores: a row per run, heading → cell.
        sequences: what single sequences gained and lost.
        report, figures: relative to the workspace.
    """

    runs: tuple[RunOfComparison, ...]
    parameters: list[dict[str, str]]
    scores: list[dict[str, str]]
    sequences: list[SequenceChange]
    report: str
    figures: tuple[str, ...]


@task(name="compare runs", persist_result=False, cache_policy=NO_CACHE)
def compare_runs(
    workspace: Workspace,
    given: Sequence[str] = (),
    experiment: str | None = None,
    against: str | None = None,
    metric: str = "idf1",
) -> ComparisonResult:
    """Compare runs by what MLflow recorded; the first one is what the others are measured against.

    Args:
        workspace: whose tracking server is meant, unless MLFLOW_TRACKING_URI names one; the report goes there.
        given: run ids, their beginnings, or `champion`.
        experiment: all finished runs of that experiment, latest first, instead or as well.
        against: the run to measure against. `champion` is the champion's training, or its latest benchmark where the
            others are benchmarks.
        metric: for gains of single sequences.

    Raises:
        InputError: no such run or experiment, or fewer than two runs.
    """
    recorded = Recorded(workspace)
    runs = [recorded.run(name) for name in given]
    if experiment is not None:
        found = recorded.runs(experiment)
        if not found:
            known = ", ".join(recorded.experiments())
            raise InputError(f"experiment {experiment!r}: no finished run there; there are: {known}")
        runs += found
    names = {experiment.experiment_id: experiment.name for experiment in recorded.client.search_experiments()}
    if against is not None:
        benchmarks = bool(runs) and all(names.get(run.info.experiment_id) == BENCHMARKS for run in runs)
        runs.insert(
            0, _champion_benchmark(recorded, runs[0]) if against == CHAMPION and benchmarks else recorded.run(against)
        )
    runs = list({run.info.run_id: run for run in runs}.values())
    if len(runs) < 2:
        raise InputError("compare needs at least two runs; name two or more, --experiment NAME or --against RUN")
    if len(runs) > _MAX_RUNS:
        raise InputError(f"{len(runs)} runs are more than a table can hold: name at most {_MAX_RUNS}")
    compared = [_compared(recorded, run, names.get(run.info.experiment_id, "")) for run in runs]
    key = hashlib.sha256(" ".join([*(run.run_id for run in compared), metric]).encode()).hexdigest()[:12]
    folder = workspace.root / "compare" / key
    comparison = write_comparison(compared, folder, metric)
    return ComparisonResult(
        runs=tuple(RunOfComparison(run.label, run.run_id, run.kind) for run in compared),
        parameters=comparison.parameters,
        scores=comparison.scores,
        sequences=comparison.sequences,
        report=workspace.relative(comparison.files[0]),
        figures=tuple(workspace.relative(path) for path in comparison.files if path.suffix == ".png"),
    )


def _champion_benchmark(recorded: Recorded, like: Any) -> Any:
    champion = recorded.champion()
    found = recorded.benchmarks(champion.digest) if champion is not None else []
    same = [run for run in found if _measured(run) == _measured(like)]
    if not found:
        return recorded.run(CHAMPION)  # returns the training, or raises an error
    return (same or found)[0]


def _measured(run: Any) -> tuple[str | None, ...]:
    return (run.data.tags.get("split"), run.data.tags.get("protocol"), run.data.params.get("dataset.digest"))


def _compared(recorded: Recorded, run: Any, experiment: str) -> ComparedRun:
    run_id = run.info.run_id
    scores = {name: value for name, value in run.data.metrics.items() if not name.startswith("system/")}
    curves: dict[str, list[tuple[float, float]]] = {}
    if experiment == TRAININGS:
        ordered = [name for name in _CURVES if name in scores]
        ordered += [name for name in sorted(scores) if name not in ordered and name != "step_loss"]
        for name in ordered:
            history = recorded.client.get_metric_history(run_id, name)
            if len(history) > 1 and len(curves) < _MAX_CURVES:
                curves[name] = sorted((float(point.step), float(point.value)) for point in history)
    videos = {}
    for item in recorded.client.list_artifacts(run_id, "videos"):
        file = _local(run.info.artifact_uri, item.path)
        if file is not None:
            videos[Path(item.path).stem] = file
    kind = _KINDS.get(experiment, experiment)
    return ComparedRun(f"{run.info.run_name} ({run_id[:6]})", run_id, kind, run.data.params, scores, curves, videos)


def _local(artifact_uri: str, path: str) -> Path | None:
    """Return the file of an artifact that lies in this file system; one on a server cannot be linked to offline."""
    parsed = urlparse(artifact_uri)
    file = Path(unquote(parsed.path)) / path
    return file if parsed.scheme in ("file", "") and file.is_file() else None
