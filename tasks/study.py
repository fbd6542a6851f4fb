"""What every study does: one parent run with child runs, a folder with table, figure and report, done once."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from ssat.pipeline.settings import BenchmarkSettings
from ssat.setting_marks import Budget, ByContent, Display, Runtime, without
from ssat.settings import StageSettings
from ssat.workspace import Workspace, committed, sha256_of
from tasks.environment import environment_facts, git_commit
from tasks.mlflow_reporter import MlflowReporter
from tasks.mlflow_run import Dataset, mlflow_run

EXPERIMENT = "ssat-study"
RESULT_FILE = "study.json"
# Part of every key: raise it when a study comes to mean something else.
_VERSION = 1


class Study:
    """One study: where it lies, its parent run, its child runs.

    Args:
        workspace: it lies in `studies/KIND-KEY` there.
        kind: extensions, clips, trackers, thresholds or tune.
        settings: section → the models that decide what is done.
        digests: what the data and the networks are, by content.
    """

    def __init__(
        self, workspace: Workspace, kind: str, settings: Mapping[str, StageSettings], digests: Mapping[str, str]
    ) -> None:
        self.workspace, self.kind, self.digests = workspace, kind, dict(digests)
        self.settings = {section: model.model_dump(mode="json") for section, model in settings.items()}
        chosen = {section: without(model, Budget, ByContent, Display, Runtime) for section, model in settings.items()}
        if checkpoint := _refinement_digest(settings, workspace):
            self.digests["refinement checkpoint"] = checkpoint
        self.folder = self._folder(chosen)
        if not self.folder.exists():
            before = self._folder(_chosen_before(self.settings))
            self.folder = before if before.exists() else self.folder

    def _folder(self, chosen: Mapping[str, Any]) -> Path:
        key = json.dumps([_VERSION, self.kind, chosen, self.digests], sort_keys=True)
        return self.workspace.studies / f"{self.kind}-{hashlib.sha256(key.encode()).hexdigest()[:12]}"

    def finished(self) -> dict[str, Any] | None:
        """The result, where the same study was done before."""
        path = self.folder / RESULT_FILE
        return {**json.loads(path.read_text()), "reused": True} if path.is_file() else None

    @contextmanager
    def recorded(self, dataset: Dataset) -> Iterator[MlflowReporter]:
        """The parent run."""
        self.folder.mkdir(parents=True, exist_ok=True)
        tags = {"study": self.kind, **{f"digest.{name}": value for name, value in self.digests.items()}}
        with mlflow_run(self.workspace, EXPERIMENT, self.folder.name, self.settings, tags, dataset) as reporter:
            yield reporter

    @contextmanager
    def child(self, name: str, settings: Mapping[str, Any]) -> Iterator[MlflowReporter]:
        """A child run; what is tracked or trained inside belongs to it."""
        tags = {"study": self.kind, "variant": name}
        with mlflow_run(self.workspace, EXPERIMENT, name, settings, tags, system_metrics=False) as reporter:
            yield reporter

    def facts(self) -> list[dict[str, str]]:
        """Digests and versions, for the report."""
        versions = environment_facts()["versions"]
        named = {f"digest of {name}": value for name, value in self.digests.items()}
        return [
            {"what": what, "value": value}
            for what, value in {**named, "commit": git_commit() or "–", **versions}.items()
        ]

    def finish(self, reporter: MlflowReporter, result: dict[str, Any], files: Sequence[Path]) -> dict[str, Any]:
        """Records the table and the files, commits the result and gives it."""
        for path in files:
            reporter.file(path)
        reporter.table("table", result["table"])
        whole = {
            "study": self.kind,
            **result,
            "folder": self.workspace.relative(self.folder),
            "report": self.workspace.relative(self.folder / "report.html"),
            "figures": [self.workspace.relative(path) for path in files if path.suffix == ".png"],
            "digests": self.digests,
            "mlflow_run_id": reporter.run_id,
        }
        with committed(self.folder / RESULT_FILE) as temporary:
            temporary.write_text(json.dumps(whole, indent=1))
        return {**whole, "reused": False}


def log_scores(reporter: MlflowReporter, benchmark: Mapping[str, Any]) -> None:
    """A benchmark's scores as numbers of a child run, and where the benchmark itself is recorded."""
    numbers = {**benchmark["overall"]}
    for name, scores in benchmark["sequences"].items():
        numbers |= {f"{name}/{key}": value for key, value in scores.items()}
    reporter.scalars({key: value for key, value in numbers.items() if isinstance(value, int | float)}, 0)
    reporter.tag("benchmark_run_id", str(benchmark["mlflow_run_id"]))
    reporter.tag("reused", str(benchmark["reused"]).lower())


def _refinement_digest(settings: Mapping[str, StageSettings], workspace: Workspace) -> str | None:
    """SHA-256 of the refinement's checkpoint, where it is used and there."""
    from ssat.detection.checkpoint import checkpoint_path

    for model in settings.values():
        if isinstance(model, BenchmarkSettings) and model.refine != "none":
            path = checkpoint_path(model.refinement.checkpoint, workspace.root)
            return sha256_of(path) if path.is_file() else None
    return None


def _chosen_before(settings: Mapping[str, Mapping[str, Any]]) -> dict[str, Any]:
    """What named the folders of studies without refinement up to version 0.1: such results are found again."""
    left_out = {"mot", "embedder", "video", "sequences", "side_by_side", "choose_mot", "unlabelled"}
    left_out |= {"trials", "train", "report"}
    return {
        section: {name: value for name, value in model.items() if name not in left_out}
        for section, model in settings.items()
    }
