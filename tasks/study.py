"""The frame of every study: a parent run with child runs, a folder with table, figure and report, done once."""

from __future__ import annotations

import hashlib
import json
import logging
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Generic, Protocol, TypeVar

from pydantic import TypeAdapter, ValidationError

from ssat.file_names import REPORT_FILE, STUDY_RESULT
from ssat.once import save_result, saved_values
from ssat.pipeline.benchmark_result import BenchmarkResult
from ssat.pipeline.settings import BenchmarkSettings
from ssat.setting_marks import Budget, ByContent, Display, Runtime, without
from ssat.settings import StageSettings
from ssat.studies.results import Cells
from ssat.workspace import Workspace, sha256_of
from tasks.environment import environment_facts, git_commit
from tasks.mlflow_reporter import MlflowReporter
from tasks.mlflow_run import Dataset, mlflow_run

_LOG = logging.getLogger(__name__)

EXPERIMENT = "ssat-study"
# Part of every key: raise it when the meaning of a study changes.
_VERSION = 1


class StudyContent(Protocol):
    """Common result of all studies: the protocol, a table, and notes."""

    @property
    def protocol(self) -> str: ...
    @property
    def table(self) -> Cells: ...
    @property
    def notes(self) -> tuple[str, ...]: ...


Content = TypeVar("Content", bound=StudyContent)


@dataclass(frozen=True)
class StudyResult(Generic[Content]):
    """A finished study.

    Attributes:
        study: its kind.
        content: its own result; the fields stand beside the others in JSON.
        folder, report, figures: relative to the workspace.
        digests: of data and networks.
        reused: it was done before.
    """

    study: str
    content: Content
    folder: str
    report: str
    figures: tuple[str, ...]
    digests: dict[str, str]
    mlflow_run_id: str
    reused: bool = False

    def as_json(self) -> Mapping[str, Any]:
        """Return all fields on one level."""
        return {
            "study": self.study,
            **vars(self.content),
            "folder": self.folder,
            "report": self.report,
            "figures": self.figures,
            "digests": self.digests,
            "mlflow_run_id": self.mlflow_run_id,
            "reused": self.reused,
        }


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

    def finished(self, content: type[Content]) -> StudyResult[Content] | None:
        """Return the result, where the same study was done before; `content`: the class of what it holds."""
        path = self.folder / STUDY_RESULT
        if not path.is_file():
            return None
        found = saved_values(path)
        try:
            own = TypeAdapter(content).validate_python(found)
        except (ValidationError, KeyError, TypeError) as error:
            # Its benchmarks and trainings are found again: only tables, figures and the page are made again.
            _LOG.warning("%s: not a result of this version (%s); the study is put together again", path, error)
            return None
        return StudyResult(
            study=found["study"],
            content=own,
            folder=found["folder"],
            report=found["report"],
            figures=tuple(found["figures"]),
            digests=found["digests"],
            mlflow_run_id=found["mlflow_run_id"],
            reused=found["reused"],
        )

    @contextmanager
    def recorded(self, dataset: Dataset) -> Iterator[MlflowReporter]:
        """Open the parent run."""
        self.folder.mkdir(parents=True, exist_ok=True)
        tags = {"study": self.kind, **{f"digest.{name}": value for name, value in self.digests.items()}}
        with mlflow_run(self.workspace, EXPERIMENT, self.folder.name, self.settings, tags, dataset) as reporter:
            yield reporter

    @contextmanager
    def child(self, name: str, settings: Mapping[str, Any]) -> Iterator[MlflowReporter]:
        """Open a child run; work inside belongs to it."""
        tags = {"study": self.kind, "variant": name}
        with mlflow_run(self.workspace, EXPERIMENT, name, settings, tags, system_metrics=False) as reporter:
            yield reporter

    def facts(self) -> list[dict[str, str]]:
        """Return digests and versions, for the report."""
        versions = environment_facts().versions
        named = {f"digest of {name}": value for name, value in self.digests.items()}
        return [
            {"what": name, "value": value}
            for name, value in {**named, "commit": git_commit() or "–", **versions}.items()
        ]

    def finish(self, reporter: MlflowReporter, content: Content, files: Sequence[Path]) -> StudyResult[Content]:
        """Record the table and the files, and commit the result."""
        for path in files:
            reporter.file(path)
        reporter.table("table", content.table)
        result = StudyResult(
            study=self.kind,
            content=content,
            folder=self.workspace.relative(self.folder),
            report=self.workspace.relative(self.folder / REPORT_FILE),
            figures=tuple(self.workspace.relative(path) for path in files if path.suffix == ".png"),
            digests=self.digests,
            mlflow_run_id=reporter.run_id,
        )
        save_result(result, self.folder / STUDY_RESULT)
        return result


def log_scores(reporter: MlflowReporter, benchmark: BenchmarkResult) -> None:
    """Log a benchmark's scores as metrics of a child run, with a reference to the benchmark's own run."""
    reporter.scalars(benchmark.numbers(), 0)
    reporter.tag("benchmark_run_id", benchmark.mlflow_run_id)
    reporter.tag("reused", str(benchmark.reused).lower())


def _refinement_digest(settings: Mapping[str, StageSettings], workspace: Workspace) -> str | None:
    """Return SHA-256 of the refinement's checkpoint, where it is used and there."""
    from ssat.detection.checkpoint import checkpoint_path

    for model in settings.values():
        if isinstance(model, BenchmarkSettings) and model.refine != "none":
            path = checkpoint_path(model.refinement.checkpoint, workspace.root)
            return sha256_of(path) if path.is_file() else None
    return None


def _chosen_before(settings: Mapping[str, Mapping[str, Any]]) -> Mapping[str, Mapping[str, Any]]:
    """Return the key of studies without refinement up to version 0.1, so that their results are found."""
    left_out = {"mot", "embedder", "video", "sequences", "side_by_side", "choose_mot", "unlabelled"}
    left_out |= {"trials", "train", "report"}
    return {
        section: {name: value for name, value in model.items() if name not in left_out}
        for section, model in settings.items()
    }
