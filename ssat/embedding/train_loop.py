"""The pretext training: from a frame store to an embedder, in one process or in every rank of a process group."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from torch import distributed as dist

from ssat.embedding.checkpoint import Checkpoints, latest_checkpoint
from ssat.embedding.data import TrainingData
from ssat.embedding.device import usable_device
from ssat.embedding.evaluation import Evaluate, Evaluator, held_out_of, probe_of
from ssat.embedding.meter import Meter, NonFiniteLossError
from ssat.embedding.progress import EpochRecord
from ssat.embedding.schedule import learning_rate_at, margin_at
from ssat.embedding.settings import TrainSettings
from ssat.embedding.train_step import TrainStep
from ssat.embedding.training_state import TrainingState
from ssat.errors import InputError, SsatError
from ssat.file_names import CHECKPOINTS
from ssat.frames.instances import InstanceTable
from ssat.frames.store import FrameStore
from ssat.reporter import NullReporter, Reporter

__all__ = ["Evaluate", "TrainResult", "TrainingDivergedError", "train_loop"]

_REPORT_EVERY = 10


class TrainingDivergedError(SsatError):
    """The loss is not finite: further steps cannot repair the weights."""


@dataclass(frozen=True)
class TrainResult:
    """A finished training."""

    embedder: Path
    """The embedder's safetensors file: of the evaluation with the best score, of the end without any."""
    history: Sequence[EpochRecord]
    classes: int
    steps: int
    best: dict[str, float]
    """Scores of that evaluation under held_out_… and probe_…, and its `epoch`; empty when nothing was scored."""

    @property
    def held_out(self) -> dict[str, float]:
        """The held-out scores of the embedder."""
        return held_out_of(self.best)

    @property
    def probe(self) -> dict[str, float]:
        """The probe's `auc`, `auc_low` and `auc_high` of the embedder; empty where `evaluate` gave none."""
        return probe_of(self.best)


def train_loop(
    settings: TrainSettings,
    store: FrameStore,
    folder: Path,
    reporter: Reporter | None = None,
    process_group: dist.ProcessGroup | None = None,
    evaluate: Evaluate | None = None,
    instances: InstanceTable | None = None,
) -> TrainResult:
    """Train on `store` and leave `embedder.safetensors` and `checkpoints` in `folder`.

    Every rank of `process_group` calls this with the same arguments, and `folder` is one that all of them see; None
    means a training of one process. It continues from the latest checkpoint in `folder`, whatever the number of ranks
    that made it. Only rank 0 reports.

    Args:
        settings: of the training.
        store: the opened frame store.
        folder: of this training.
        reporter: receives step and epoch numbers and progress.
        process_group: the ranks.
        evaluate: further scores of an embedder, asked for at each evaluation, on rank 0.
        instances: the table of the kind that the settings name; None for kind clip.

    Raises:
        InputError: settings that the store cannot serve, a checkpoint of other data or settings.
        WorkspaceError: a checkpoint or the embedder cannot be written; the checkpoints before are kept.
        TrainingDivergedError: the loss is not finite; names the clips of the batch.
    """
    group = process_group
    rank, world = (group.rank(), group.size()) if group is not None else (0, 1)
    if settings.optimiser.batch_size % world and settings.execution.min_workers is None:
        raise InputError(
            f"setting train.batch_size: {settings.optimiser.batch_size} does not divide by {world} processes"
        )
    reporter = reporter if reporter is not None and rank == 0 else NullReporter()
    device = usable_device(settings.execution.device, "setting train.device")
    data = TrainingData(settings, store, rank, world, instances)
    state = TrainingState(settings, data.class_ids, data.digest, device, group, instances)
    checkpoints = Checkpoints(folder / CHECKPOINTS, rank, world if state.sharded else 1, settings.checkpoints.keep)
    state.begin(latest_checkpoint(checkpoints.folder))
    if group is not None:
        # No rank may write a new checkpoint while another still searches for the latest.
        dist.barrier(group=group)
    step = TrainStep(state, settings, device, group)
    meter = Meter(state.progress, group)
    evaluator = Evaluator(settings, data, state, folder, device, group, evaluate)
    try:
        _train(settings, data, state, step, meter, evaluator, checkpoints, reporter)
    except NonFiniteLossError as error:
        checkpoints.wait()
        raise _diverged(error, data, latest_checkpoint(checkpoints.folder)) from error
    checkpoints.wait()
    steps = settings.schedule.epochs * data.steps_per_epoch
    return TrainResult(evaluator.finish(), state.progress.history, data.classes, steps, state.progress.best)


def _train(
    settings: TrainSettings,
    data: TrainingData,
    state: TrainingState,
    step: TrainStep,
    meter: Meter,
    evaluator: Evaluator,
    checkpoints: Checkpoints,
    reporter: Reporter,
) -> None:
    """Run the training loop; all ranks execute it together."""
    progress, schedule = state.progress, settings.schedule
    rate = schedule.learning_rate
    for record in progress.history:
        _report(record, reporter)
    if progress.step == 0:
        # Check the disk space before the work, and keep a picture in case the first steps fail.
        state.save(checkpoints)
    while progress.epoch < schedule.epochs:
        for images_BHW3, labels_B in meter.timed(data.epoch(progress.epoch, progress.images)):
            share = (progress.epoch + progress.images / data.images_per_step / data.steps_per_epoch) / schedule.epochs
            rate, margin = learning_rate_at(share, schedule), margin_at(share, settings.head)
            values = step(images_BHW3, labels_B, rate, margin)
            progress.advance(data.images_per_step)
            meter.add(values, labels_B.tolist())
            left = data.steps_left(progress.images)
            done = (progress.epoch + 1) * data.steps_per_epoch - left
            # The last step of an epoch always reports, so that the bar reaches its end.
            if done % _REPORT_EVERY == 0 or not left:
                reporter.scalars({"step_loss": meter.check(), "learning_rate": rate}, progress.step)
                note = _probe_note(progress.best)
                reporter.progress(done, schedule.epochs * data.steps_per_epoch, "training steps", *note)
            if progress.step % settings.checkpoints.every == 0 and left:
                meter.check()  # no checkpoint of weights that are not finite
                state.save(checkpoints)
        record = meter.record(data, rate)
        if evaluator.due():
            record = replace(record, scores=evaluator())
        progress.end_epoch(record)
        _report(record, reporter)
        state.save(checkpoints)


def _probe_note(best: Mapping[str, float]) -> tuple[str, ...]:
    """Return the best score of the probe so far, for the progress bar; empty before the first."""
    return (f"probe AUC {best['probe_auc']:.3f} (epoch {best['epoch']:g})",) if "probe_auc" in best else ()


def _report(record: EpochRecord, reporter: Reporter) -> None:
    reporter.scalars({name: value for name, value in record.row().items() if name != "epoch"}, record.epoch)


def _diverged(error: NonFiniteLossError, data: TrainingData, kept: Path | None) -> TrainingDivergedError:
    """Name the clips of the batch, and the checkpoint that is kept: the batch has spoilt the weights after it."""
    table = data.store.clips
    ids = dict(zip(table.column("rank").to_pylist(), table.column("clip_id").to_pylist(), strict=True))
    clips = [ids[data.clip_of(label)] for label in error.labels]
    shown = ", ".join(clips[:8]) + (f" and {len(clips) - 8} more" if len(clips) > 8 else "")
    return TrainingDivergedError(
        f"training diverged: loss {error.loss} at step {error.step}, on clips {shown}; "
        f"{kept} is kept. Lower train.learning_rate, set train.clip_gradient or lengthen train.warmup"
    )
