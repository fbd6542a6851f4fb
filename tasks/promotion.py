"""Moving the aliases `champion` and `challenger` of the registered embedder by a rule, and writing down why."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from prefect import task
from prefect.cache_policies import NO_CACHE

from ssat.errors import InputError
from ssat.studies.promotion import Metric, Promotion, decide_promotion
from ssat.workspace import Workspace
from tasks.embedders import MODEL_NAME, download_embedder
from tasks.mlflow_run import mlflow_run
from tasks.recorded import CHALLENGER, CHAMPION, Recorded, Version, comparable

if TYPE_CHECKING:
    from mlflow import MlflowClient

    from ssat.tracking.probe_auc import AucGain

EXPERIMENT = "ssat-promotion"
NO_PROBE = "none"
_NONE = "none"  # tag of a promotion that replaced no champion


@dataclass(frozen=True)
class Contender:
    """A version of the embedder, its training, its benchmark's run and score, and the scores of its recipe by seed."""

    version: str
    run_id: str
    benchmark: str
    score: float
    seeds: dict[str, float]


@dataclass(frozen=True)
class ProbedGain:
    """Difference of the candidate's AUC on footage, with its interval."""

    footage: str
    gain: float
    low: float
    high: float


@dataclass(frozen=True)
class PromotionResult:
    """Decision of the promotion rule, and its numbers.

    Attributes:
        gain: candidate minus champion, as a share of 1.
        spread: of the seeds, likewise.
        probe: None without footage.
        champion: None if there was none, or the candidate is it.
        previous: version that was the champion before.
        dry_run: nothing was changed.
        mlflow_run_id: None after a dry run.
    """

    promoted: bool
    reason: str
    metric: Metric
    split: str
    protocol: str | None
    gain: float | None
    spread: float | None
    probe: ProbedGain | None
    candidate: Contender
    champion: Contender | None
    previous: str | None
    dry_run: bool
    mlflow_run_id: str | None


@task(name="promote embedder", persist_result=False, cache_policy=NO_CACHE)
def promote(
    workspace: Workspace,
    run_id: str,
    *,
    split: str = "val-half",
    protocol: str | None = None,
    data_digest: str | None = None,
    metric: Metric = "idf1",
    spread: float | None = None,
    probe: str | None = None,
    dry_run: bool = False,
) -> PromotionResult:
    """Make the embedder of a training the champion where `decide_promotion` says so, and record why in any case.

    Compared are recorded benchmarks: the candidate's latest one on `split`, and those of the champion and of other
    seeds that agree with it in data, detections, tracker, split and protocol.

    Args:
        workspace: whose tracking server is meant, unless MLFLOW_TRACKING_URI names one.
        run_id: of the candidate's training.
        split: of the benchmarks.
        protocol: likewise; None: that of the candidate's latest benchmark.
        data_digest: only benchmarks of these data.
        metric: what must be better.
        spread: the seeds' spread stated by hand, as a share of 1.
        probe: folder of footage with detections on which the candidate's probe AUC must be higher as well, beyond its
            interval; None: that of the candidate's training, if it had one; `none`: the benchmark alone decides.
        dry_run: say what would be done, change nothing.

    Raises:
        InputError: no such training, or one of the two embedders has no benchmark that can be compared.
    """
    recorded = Recorded(workspace)
    run_id = recorded.run(run_id).info.run_id
    candidate = recorded.version_of(run_id)
    benchmark = _benchmark(recorded, candidate.digest, split, protocol, data_digest)
    if benchmark is None:
        asked = f"split {split}" + (f", protocol {protocol}" if protocol else "")
        raise InputError(
            f"run {run_id}: version {candidate.number} has no recorded benchmark ({asked}); run "
            f"`ssat promote {run_id} --mot FOLDER --split {split}`, or `ssat benchmark --embedder {run_id}` before"
        )
    key = comparable(benchmark)
    score = float(benchmark.data.metrics[metric])
    own_seeds = _seed_scores(recorded, candidate.run_id, key, metric)
    before = recorded.champion()
    champion: Contender | None = None
    probed: ProbedGain | None = None
    if before is not None and before.number == candidate.number:
        decision = Promotion(False, None, spread, f"version {candidate.number} is the champion already")
    else:
        if before is not None:
            champion = _champion_scored(recorded, before, benchmark.info.run_id, key, metric)
            footage = _probe_footage(recorded, candidate, probe)
            gain = None if footage is None else _probe_gain(footage, candidate, before)
            probed = None if gain is None else ProbedGain(str(footage), gain.gain, gain.low, gain.high)
        else:
            gain = None
        decision = decide_promotion(
            score,
            champion.score if champion else None,
            list(own_seeds.values()),
            list(champion.seeds.values()) if champion else [],
            spread=spread,
            metric=metric,
            probe=gain,
        )
    result = PromotionResult(
        promoted=decision.promoted,
        reason=decision.reason,
        metric=metric,
        split=split,
        protocol=benchmark.data.tags.get("protocol"),
        gain=decision.gain,
        spread=decision.spread,
        probe=probed,
        candidate=Contender(candidate.number, candidate.run_id, benchmark.info.run_id, score, own_seeds),
        champion=champion,
        previous=None if before is None else before.number,
        dry_run=dry_run,
        mlflow_run_id=None,
    )
    return result if dry_run else replace(result, mlflow_run_id=_write(workspace, recorded, result))


def _probe_footage(recorded: Recorded, candidate: Version, probe: str | None) -> str | None:
    """Return the folder to probe on; None if there is none."""
    if probe is None:
        return str(recorded.client.get_run(candidate.run_id).data.params.get("probe") or "") or None
    return None if probe == NO_PROBE else probe


def _probe_gain(footage: str, candidate: Version, champion: Version) -> AucGain:
    """Return how much higher the candidate's AUC is, with the interval of the difference.

    Raises:
        InputError: footage that cannot be probed.
    """
    from ssat.embedding.embedder import Embedder
    from ssat.pipeline.probe_evaluation import ProbeEvaluation
    from ssat.tracking.probe_auc import auc_gain

    try:
        evaluation = ProbeEvaluation(Path(footage).expanduser())
    except InputError as error:
        raise InputError(f"probe: {error}. Give other footage with --probe FOLDER, or --probe {NO_PROBE}") from error
    ours, theirs = (
        evaluation.score(Embedder.load(download_embedder(f"models:/{MODEL_NAME}/{version.number}")))
        for version in (candidate, champion)
    )
    return auc_gain(ours, theirs)


def _benchmark(
    recorded: Recorded, digest: str, split: str, protocol: str | None, data_digest: str | None
) -> Any | None:
    for run in recorded.benchmarks(digest):
        tags, params = run.data.tags, run.data.params
        if tags.get("split") != split or (protocol is not None and tags.get("protocol") != protocol):
            continue
        if data_digest is None or params.get("dataset.digest") == data_digest:
            return run
    return None


def _champion_scored(recorded: Recorded, champion: Version, like: str, key: dict[str, str], metric: str) -> Contender:
    run = next((run for run in recorded.benchmarks(champion.digest) if comparable(run) == key), None)
    if run is None:
        raise InputError(
            f"the champion, version {champion.number}, has no benchmark like the candidate's (MLflow run {like}): give "
            f"--mot FOLDER, or run `ssat benchmark` with the same settings and --embedder {champion.run_id} before"
        )
    seeds = _seed_scores(recorded, champion.run_id, key, metric)
    return Contender(champion.number, champion.run_id, run.info.run_id, float(run.data.metrics[metric]), seeds)


def _seed_scores(recorded: Recorded, run_id: str, key: dict[str, str], metric: str) -> dict[str, float]:
    """Training run → its score, of every seed of the recipe whose embedder was benchmarked under `key`."""
    scores = {}
    for seed in recorded.seeds_of(run_id):
        try:
            digest = recorded.version_of(seed).digest
        except InputError:
            continue  # a training whose version was deleted
        run = next((run for run in recorded.benchmarks(digest) if comparable(run) == key), None)
        if run is not None:
            scores[seed] = float(run.data.metrics[metric])
    return scores


def _write(workspace: Workspace, recorded: Recorded, result: PromotionResult) -> str:
    """Record the reason in MLflow (a run, tags and description of the version), then set the alias."""
    candidate, champion, client = result.candidate, result.champion, recorded.client
    version = candidate.version
    tags = {
        "candidate_version": version,
        "previous_version": result.previous or _NONE,
        "promoted": str(result.promoted).lower(),
        "reason": result.reason,
    }
    settings = {"metric": result.metric, "split": result.split, "protocol": result.protocol}
    with mlflow_run(workspace, EXPERIMENT, f"promote-{version}", settings, tags, system_metrics=False) as reporter:
        numbers = {"candidate": candidate.score, "gain": result.gain, "spread": result.spread}
        if result.probe is not None:
            numbers |= {"probe_gain": result.probe.gain, "probe_low": result.probe.low, "probe_high": result.probe.high}
        if champion is not None:
            numbers[CHAMPION] = champion.score
        reporter.scalars({key: value for key, value in numbers.items() if value is not None}, 0)
        reporter.table(
            "seeds",
            [
                {"whose": whose, "training": run, result.metric: value}
                for whose, contender in (("candidate", candidate), (CHAMPION, champion))
                if contender is not None
                for run, value in contender.seeds.items()
            ],
        )
    client.set_model_version_tag(MODEL_NAME, version, "promotion.promoted", tags["promoted"])
    client.set_model_version_tag(MODEL_NAME, version, "promotion.reason", result.reason)
    client.set_model_version_tag(MODEL_NAME, version, "promotion.run", reporter.run_id)
    if result.promoted:
        before = f", after version {result.previous}" if result.previous else ""
        client.update_model_version(
            MODEL_NAME,
            version,
            f"Champion{before}: {result.reason}. Split {result.split}, protocol {result.protocol}, "
            f"MLflow run {reporter.run_id}.",
        )
        _set_champion(client, version, challenger=None)
    elif version != result.previous:
        client.set_registered_model_alias(MODEL_NAME, CHALLENGER, version)
    return reporter.run_id


def _set_champion(client: MlflowClient, version: str, challenger: str | None) -> None:
    """Move `champion`, then `challenger`; None: there is no challenger any more."""
    client.set_registered_model_alias(MODEL_NAME, CHAMPION, version)
    if challenger is not None:
        client.set_registered_model_alias(MODEL_NAME, CHALLENGER, challenger)
    elif CHALLENGER in client.get_registered_model(MODEL_NAME).aliases:
        client.delete_registered_model_alias(MODEL_NAME, CHALLENGER)


@dataclass(frozen=True)
class Undone:
    """A promotion that was taken back.

    Attributes:
        champion: version that has the alias again.
        challenger: version that had it.
        promotion: MLflow run of the promotion that was taken back.
        mlflow_run_id: run that records this; None after a dry run.
        dry_run: nothing was changed.
    """

    champion: str
    challenger: str
    promotion: str
    mlflow_run_id: str | None
    dry_run: bool


@task(name="undo promotion", persist_result=False, cache_policy=NO_CACHE)
def undo_promotion(workspace: Workspace, *, dry_run: bool = False) -> Undone:
    """Give the alias `champion` back to the version that the present champion replaced, which becomes the challenger.

    Args:
        workspace: whose tracking server is meant, unless MLFLOW_TRACKING_URI names one.
        dry_run: say what would be done, change nothing.

    Raises:
        InputError: there is no champion, it replaced none, or the version that it replaced was deleted.
    """
    recorded = Recorded(workspace)
    champion = recorded.champion()
    if champion is None:
        raise InputError(f"{MODEL_NAME}: no version is the champion; there is no promotion to undo")
    promotions = (run.data.tags | {"run_id": run.info.run_id} for run in recorded.runs(EXPERIMENT))
    tags = next(
        (
            tags
            for tags in promotions
            if (tags.get("promoted"), tags.get("candidate_version")) == ("true", champion.number)
        ),
        None,
    )
    if tags is None:
        raise InputError(
            f"version {champion.number} of {MODEL_NAME} became champion without a recorded promotion: what it replaced "
            "is not known. Set the alias in MLflow"
        )
    previous = tags["previous_version"]
    if previous == _NONE:
        raise InputError(f"version {champion.number} of {MODEL_NAME} was the first champion; there is no earlier one")
    if not recorded.has_version(previous):
        raise InputError(
            f"version {previous} of {MODEL_NAME}, the champion before, was deleted; promote another training"
        )
    if dry_run:
        return Undone(previous, champion.number, tags["run_id"], None, dry_run)
    reason = f"the promotion of version {champion.number} was undone"
    noted = {"candidate_version": champion.number, "previous_version": previous, "promoted": "undone", "reason": reason}
    settings = {"undone": tags["run_id"]}
    with mlflow_run(
        workspace, EXPERIMENT, f"undo-{champion.number}", settings, noted, system_metrics=False
    ) as reporter:
        pass
    client = recorded.client
    client.set_model_version_tag(MODEL_NAME, champion.number, "promotion.promoted", "undone")
    client.set_model_version_tag(MODEL_NAME, champion.number, "promotion.run", reporter.run_id)
    client.update_model_version(
        MODEL_NAME, champion.number, f"No longer champion: {reason}. MLflow run {reporter.run_id}."
    )
    _set_champion(client, previous, champion.number)
    return Undone(previous, champion.number, tags["run_id"], reporter.run_id, dry_run)
