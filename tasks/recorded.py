"""Recorded trainings, benchmarks and embedder versions of MLflow."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from ssat.embedding.settings import TrainSettings
from ssat.errors import InputError
from ssat.pipeline.settings import BenchmarkSettings
from ssat.setting_marks import ByContent, Display, Replicate, Runtime, marked
from ssat.workspace import Workspace
from tasks.embedders import MODEL_NAME
from tasks.services import mlflow_tracking_uri

CHAMPION = "champion"
CHALLENGER = "challenger"
BENCHMARKS, TRAININGS = "ssat-benchmark", "ssat-train"
_DIGEST_TAG = "embedder_digest"
_DETECTOR_TAG = "detector_sha256"
_PAGE = 1000
_LOGGED = re.compile(r"models:/(m-[0-9a-f]+)")
_RUN_ID = re.compile(r"[0-9a-f]{6,32}")


@dataclass(frozen=True)
class Version:
    """One version of the registered embedder."""

    number: str
    run_id: str
    digest: str


def logged_model_of(client: Any, digest: str) -> str | None:
    """Return the id of the logged model, m-…, behind the latest version of the embedder with that digest.

    The registry's database keeps no id of the model beside a version: its source names it. None without such a version.
    """
    found = client.search_model_versions(f"name = '{MODEL_NAME}' and tags.{_DIGEST_TAG} = '{digest}'")
    for version in sorted(found, key=lambda version: int(version.version), reverse=True):
        if (match := _LOGGED.fullmatch(version.source or "")) is not None:
            return match[1]
    return None


class Recorded:
    """The tracking server of a workspace; every experiment is read once."""

    def __init__(self, workspace: Workspace) -> None:
        from mlflow import MlflowClient

        self.client = MlflowClient(mlflow_tracking_uri(workspace))
        self._runs: dict[str, list[Any]] = {}

    def runs(self, experiment: str) -> list[Any]:
        """Return the finished runs of an experiment, latest first; none where there is no such experiment."""
        if experiment not in self._runs:
            found = self.client.get_experiment_by_name(experiment)
            self._runs[experiment] = [] if found is None else list(self._pages(found.experiment_id))
        return self._runs[experiment]

    def _pages(self, experiment_id: str) -> Iterator[Any]:
        token = None
        while True:
            page = self.client.search_runs(
                [experiment_id],
                "attributes.status = 'FINISHED'",
                max_results=_PAGE,
                order_by=["attributes.start_time DESC"],
                page_token=token,
            )
            yield from page
            token = page.token
            if not token:
                return

    def experiments(self) -> list[str]:
        """Return names of all experiments."""
        return sorted(experiment.name for experiment in self.client.search_experiments())

    def run(self, given: str) -> Any:
        """Return the run that `given` names: its id, the beginning of it (six characters or more), or `champion`.

        Raises:
            InputError: no such run, or several.
        """
        from mlflow.exceptions import MlflowException

        if given == CHAMPION:
            champion = self.champion()
            if champion is None:
                raise InputError(f"{MODEL_NAME} has no champion yet; `ssat promote RUN` names one")
            return self.client.get_run(champion.run_id)
        if not _RUN_ID.fullmatch(given):
            raise InputError(
                f"run {given!r}: expected an MLflow run id, six or more of its first characters, or champion"
            )
        if len(given) == 32:
            try:
                return self.client.get_run(given)
            except MlflowException as error:
                raise InputError(f"run {given}: not recorded at {self._place()}") from error
        found = [run for name in self.experiments() for run in self.runs(name) if run.info.run_id.startswith(given)]
        if len(found) != 1:
            what = "no run" if not found else f"{len(found)} runs"
            raise InputError(f"run {given}: {what} whose id begins so at {self._place()}")
        return found[0]

    def _place(self) -> str:
        from ssat.redaction import without_credentials

        return without_credentials(str(self.client.tracking_uri))

    def champion(self) -> Version | None:
        """Return the version that the alias `champion` names."""
        from mlflow.exceptions import MlflowException

        try:
            version = self.client.get_model_version_by_alias(MODEL_NAME, CHAMPION)
        except MlflowException:
            return None
        return self._version(version)

    def has_version(self, number: str) -> bool:
        """Return whether the registered embedder has a version of that number."""
        return any(
            str(version.version) == number for version in self.client.search_model_versions(f"name = '{MODEL_NAME}'")
        )

    def version_of(self, run_id: str) -> Version:
        """Return the version that a training registered.

        Raises:
            InputError: the run is not a training that has registered an embedder.
        """
        found = self.client.search_model_versions(f"name = '{MODEL_NAME}' and run_id = '{run_id}'")
        if not found:
            raise InputError(
                f"run {run_id}: no version of {MODEL_NAME} comes from it; give the run of a training (`ssat train`)"
            )
        return self._version(max(found, key=lambda version: int(version.version)))

    def _version(self, version: Any) -> Version:
        digest = version.tags.get(_DIGEST_TAG)
        if digest is None:
            from ssat.embedding.embedder import Embedder
            from tasks.embedders import download_embedder

            digest = Embedder.load(download_embedder(f"models:/{MODEL_NAME}/{version.version}")).digest
            self.client.set_model_version_tag(MODEL_NAME, version.version, _DIGEST_TAG, digest)
        return Version(str(version.version), version.run_id, digest)

    def benchmarks(self, digest: str) -> list[Any]:
        """Return the benchmarks of the embedder with that digest, latest first."""
        return [run for run in self.runs(BENCHMARKS) if run.data.tags.get(_DIGEST_TAG) == digest]

    def seeds_of(self, run_id: str) -> list[str]:
        """Return the trainings of the same recipe and data that differ only in their seed, including this one."""
        own = recipe(self.client.get_run(run_id))
        return [run.info.run_id for run in self.runs(TRAININGS) if recipe(run) == own]


def comparable(run: Any) -> dict[str, str]:
    """Return the facts that comparable benchmarks share: data, detections, tracker, split, protocol."""
    left_out = marked(BenchmarkSettings, ByContent, Display, Runtime)
    shared = {name: value for name, value in run.data.params.items() if name not in left_out}
    # A detector is identified by its weights, independent of their path.
    weights = run.data.tags.get(_DETECTOR_TAG)
    return shared if weights is None else {**shared, _DETECTOR_TAG: weights}


def recipe(run: Any) -> dict[str, str]:
    """Return the facts that trainings share if they differ in their seed alone."""
    left_out = marked(TrainSettings, ByContent, Replicate, Runtime)
    return {name: value for name, value in run.data.params.items() if name not in left_out}
