"""Adapt an embedder to the footage of one camera; register it if it is better on a held-out part."""

from __future__ import annotations

import hashlib
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray
from prefect import task
from prefect.cache_policies import NO_CACHE

from ssat.embedding.named import COLOUR
from ssat.errors import InputError
from ssat.file_names import EMBEDDER_FILE, TRAINING_RESULT
from ssat.frames.manifest import canonical_json
from ssat.once import once, save_result, saved_values
from ssat.pipeline.settings import AdaptSettings
from ssat.setting_marks import ByContent, without
from ssat.workspace import Workspace
from tasks.embedders import ADAPTED, MODEL_NAME, latest_of_its_own, register_embedder, resolve_embedder
from tasks.mlflow_run import Dataset, mlflow_run
from tasks.progress import progress_bar

if TYPE_CHECKING:
    from ssat.embedding.embedder import Embedder
    from ssat.embedding.protocol import PatchEmbedder
    from ssat.patches.clips import PatchTable
    from ssat.tracking.probe_auc import AucGain, ProbeAuc

EXPERIMENT = "ssat-train"
_VERSION = "adapted-1"
_COLOURS_SIZE = 128
_EXAMPLES = 4
_PICTURED = 48
# Adapting takes minutes and is judged once: more frames than a probe within a training.
_ANCHORS = 250


@dataclass(frozen=True)
class AdaptedEmbedder:
    """Result of an adaptation.

    Attributes:
        accepted: its AUC on the held-out part is higher than its parent's; otherwise it is neither kept nor registered.
        embedder: the file, relative to the workspace; None if it was not accepted.
        model_version: registered version, likewise.
        parent: digest of the embedder that was adapted.
        parent_version: its registered version; None if it has none.
        tracklets: learned from.
        probe: AUC on the held-out part: `before` and `after`, each with `auc`, `auc_low` and `auc_high`, and `gain`
            with the interval of the difference.
        notes: what of the held-out part is too little to be measured.
        reused: it was done before.
    """

    accepted: bool
    embedder: str | None
    mlflow_run_id: str
    model_version: str | None
    parent: str
    parent_version: str | None
    settings: dict[str, Any]
    data_digest: str
    tracklets: int
    probe: dict[str, dict[str, float]]
    notes: tuple[str, ...]
    reused: bool = False


@task(name="adapt embedder", persist_result=False, cache_policy=NO_CACHE)
def adapt_embedder(workspace: Workspace, settings: AdaptSettings) -> AdaptedEmbedder:
    """Adapt, judge, record, and register what is better; or return what was accepted before.

    Raises:
        InputError: footage or an embedder that cannot be used, too few tracklets, or too little to judge by.
        WorkspaceError: another process does the same.
    """
    from ssat.pipeline.footage import footage_digest, open_footage
    from ssat.pipeline.probe_evaluation import ProbeEvaluation
    from ssat.pipeline.tracklet_patches import tracklet_patches

    footages = open_footage(settings.footage, settings.min_score)
    until = 1 - settings.held_out
    judge = ProbeEvaluation(settings.footage, _ANCHORS, after=until, min_score=settings.min_score)
    parent = parent_embedder(settings, workspace)
    digest = footage_digest(footages)
    learned = without(settings, ByContent)
    key = hashlib.sha256(canonical_json([_VERSION, learned, digest, parent.digest])).hexdigest()[:16]
    folder = workspace.training / f"{ADAPTED}{key}"

    def adapt() -> AdaptedEmbedder:
        with progress_bar("tracklets, frames", None) as advance:
            table = tracklet_patches(footages, until, advance=advance)
        network_of = _adapted(parent, table, settings)
        with progress_bar("probe, frames", None) as advance:
            before, after = judge.score(parent, advance), judge.score(network_of, advance)
        scores = before, after
        return _record(workspace, settings, folder, parent, network_of, table, digest, scores, judge.notes)

    return once(folder / TRAINING_RESULT, _load, adapt)


def parent_embedder(settings: AdaptSettings, workspace: Workspace) -> PatchEmbedder:
    """Return the embedder that is adapted.

    Raises:
        InputError: nothing of that name, or an embedder whose weights cannot be adapted.
    """
    from ssat.embedding.colour import ColourEmbedder
    from ssat.embedding.embedder import Embedder
    from ssat.embedding.onnx_embedder import OnnxEmbedder

    name = settings.embedder or latest_of_its_own(workspace) or COLOUR
    parent = resolve_embedder(name, workspace)
    if isinstance(parent, OnnxEmbedder) or not isinstance(parent, Embedder | ColourEmbedder):
        raise InputError(
            f"setting adapt.embedder: {name!r} has no weights that can be adapted; expected `colour`, or the run or "
            f"the {EMBEDDER_FILE} of `ssat train`, `ssat colours` or `ssat adapt`"
        )
    return parent


def _adapted(parent: PatchEmbedder, table: PatchTable, settings: AdaptSettings) -> Embedder:
    from ssat.embedding.adaptation import (
        COLOURS_SHRINKAGE,
        NETWORK_SHRINKAGE,
        adapted_colours,
        adapted_network,
        views_of_each,
    )
    from ssat.embedding.embedder import Embedder
    from ssat.embedding.network import EmbeddingNetwork

    is_network = isinstance(parent, Embedder) and isinstance(parent.network, EmbeddingNetwork)
    shrinkage = settings.shrinkage or (NETWORK_SHRINKAGE if is_network else COLOURS_SHRINKAGE)
    how = (settings.views, shrinkage, settings.seed)
    total = views_of_each(table, settings.views) * table.n_patches
    with progress_bar("adapt, views", total) as advance:
        if isinstance(parent, Embedder) and isinstance(parent.network, EmbeddingNetwork):
            network = adapted_network(parent.network, parent.input_size, table, *how, advance)
            return Embedder(network, parent.input_size)
        return Embedder(adapted_colours(table, *how, advance), _COLOURS_SIZE)


def _record(
    workspace: Workspace,
    settings: AdaptSettings,
    folder: Path,
    parent: PatchEmbedder,
    adapted: Embedder,
    table: PatchTable,
    digest: str,
    scores: tuple[ProbeAuc, ProbeAuc],
    notes: list[str],
) -> AdaptedEmbedder:
    """Return the MLflow run; the embedder and its result are committed where it is better."""
    from ssat.tracking.probe_auc import auc_gain

    before, after = scores
    gain: AucGain = auc_gain(after, before)
    accepted = bool(gain.gain > 0)
    probe = {
        "before": {name.removeprefix("probe_"): value for name, value in before.named().items()},
        "after": {name.removeprefix("probe_"): value for name, value in after.named().items()},
        "gain": asdict(gain),
    }
    # The names that trainings record, so that "the latest training" finds them.
    shown = {
        **settings.model_dump(mode="json"),
        "architecture": adapted.network.architecture,
        "crop": adapted.input_size,
        "parent": parent.digest,
    }
    dataset = Dataset("footage", digest, str(Path(settings.footage).expanduser().absolute()))
    with mlflow_run(workspace, EXPERIMENT, folder.name, shown, dataset=dataset) as reporter:
        # The score of the new embedder, under the name that trainings use.
        numbers = {f"kept_probe_{name}": value for name, value in probe["after" if accepted else "before"].items()}
        numbers |= {f"{when}_{name}": value for when in ("before", "after") for name, value in probe[when].items()}
        numbers |= {"gain": gain.gain, "gain_low": gain.low, "gain_high": gain.high, "tracklets": table.n_patches}
        reporter.scalars(numbers, 0)
        version = _parent_version(parent.digest)
        reporter.tag("accepted", str(accepted).lower())
        reporter.tag("parent_version", version or "none")
        reporter.flush()
        result = AdaptedEmbedder(
            accepted=accepted,
            embedder=None,
            mlflow_run_id=reporter.run_id,
            model_version=None,
            parent=parent.digest,
            parent_version=version,
            settings=shown,
            data_digest=digest,
            tracklets=table.n_patches,
            probe=probe,
            notes=tuple(notes),
        )
        return _kept(workspace, result, folder, adapted, table) if accepted else result


def _kept(
    workspace: Workspace, result: AdaptedEmbedder, folder: Path, adapted: Embedder, table: PatchTable
) -> AdaptedEmbedder:
    """Write and register the embedder; its result is committed last."""
    adapted.facts = {
        "settings": result.settings,
        "data_digest": result.data_digest,
        "parent": result.parent,
        "tracklets": result.tracklets,
        "probe": result.probe["after"],
    }
    adapted.save(folder / EMBEDDER_FILE)
    tags: dict[str, Any] = {
        "data_digest": result.data_digest,
        "embedder_digest": adapted.digest,
        "parent_digest": result.parent,
        "parent_version": result.parent_version or "none",
        **{f"probe_{name}": value for name, value in result.probe["after"].items()},
    }
    version = register_embedder(result.mlflow_run_id, folder / EMBEDDER_FILE, _examples(table, adapted), tags)
    result = replace(result, embedder=workspace.relative(folder / EMBEDDER_FILE), model_version=version)
    save_result(result, folder / TRAINING_RESULT)
    return result


def _examples(table: PatchTable, adapted: Embedder) -> NDArray[np.uint8]:
    from ssat.patches.views import ViewRule, view

    rng = np.random.default_rng(0)
    rule = ViewRule(size=(adapted.input_size, adapted.input_size))
    rows = np.linspace(0, len(table) - 1, _EXAMPLES).astype(int)
    return np.stack([view(table, int(row), rng, rule) for row in rows])


def _parent_version(digest: str) -> str | None:
    """Return the registered version with that digest, the latest; None if there is none."""
    from mlflow import MlflowClient

    found = MlflowClient().search_model_versions(f"name = '{MODEL_NAME}'")
    versions = [int(version.version) for version in found if version.tags.get("embedder_digest") == digest]
    return str(max(versions)) if versions else None


def _load(path: Path) -> AdaptedEmbedder:
    content = saved_values(path)
    return AdaptedEmbedder(**{**content, "notes": tuple(content["notes"])})
