"""Evaluation during a training, by all its ranks together, and the embedder that results."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import distributed as dist

from ssat.embedding.data import TrainingData
from ssat.embedding.embedder import Embedder
from ssat.embedding.held_out import held_out_scores
from ssat.embedding.network import FEATURE_DIM, EmbeddingNetwork
from ssat.embedding.settings import TrainSettings
from ssat.embedding.training_state import TrainingState
from ssat.embedding.whitening import whitened, whitening, within_class_whitening
from ssat.file_names import EMBEDDER_FILE

_BEST_FILE = "best.safetensors"
_BATCH = 64
_HELD_OUT = "held_out_"
_PROBE = "probe_"
_PROBE_AUC, _RECALL, _PRECISION = "probe_auc", "held_out_recall_at_1", "held_out_mean_average_precision"

Evaluate = Callable[[Embedder], Mapping[str, float]]


class Evaluator:
    """Evaluation of the network of a training; keeps the embedder with the best score.

    That is the AUC of the probe where `further` gives `probe_auc`, else the held-out recall.

    Args:
        settings: of the training.
        data: of this rank.
        state: of the training on this rank.
        folder: of the training.
        device: where the network runs.
        group: the ranks; all of them call.
        further: more scores of an embedder, asked for on rank 0.
    """

    def __init__(
        self,
        settings: TrainSettings,
        data: TrainingData,
        state: TrainingState,
        folder: Path,
        device: torch.device,
        group: dist.ProcessGroup | None,
        further: Evaluate | None,
    ) -> None:
        self._settings = settings
        self._data = data
        self._state = state
        self._folder = folder
        self._device = device
        self._group = group
        self._first = group is None or group.rank() == 0
        self._further = further

    def due(self) -> bool:
        """Return whether the epoch that ends now is evaluated."""
        epoch = self._state.progress.epoch + 1
        return epoch == self._settings.schedule.epochs or epoch % self._settings.evaluation.every == 0

    def __call__(self) -> dict[str, float]:
        """Return held_out_… scores, the same on every rank, and on rank 0 those of `further`."""
        progress, epoch = self._state.progress, float(self._state.progress.epoch + 1)
        network = self._feature_network(self._group)
        scores: dict[str, float] = {}
        if self._data.held_out:
            frames = self._data.held_out_frames
            features_BD = features_of(network, frames.crops, self._device, self._group)
            scores = as_held_out(held_out_scores(frames, features_BD).named())
        if self._first and self._further is not None:
            scores |= self._further(self._embedder(network, {"epoch": epoch}))
        if scores and _quality(scores) >= _quality(progress.best):
            progress.best, progress.best_step = {**scores, "epoch": epoch}, progress.step
            if self._first and _chooses(scores):
                self._embedder(network, progress.best).save(self._folder / _BEST_FILE)
        return scores

    def finish(self) -> Path:
        """Write the embedder file, on rank 0: that of the best evaluation, else that of the end. Return its path."""
        target, best = self._folder / EMBEDDER_FILE, self._folder / _BEST_FILE
        if self._first:
            if best.exists():
                best.replace(target)
            elif not _chooses(self._state.progress.best) or not target.exists():
                self._embedder(self._feature_network(None), self._state.progress.best).save(target)
        return target

    def _feature_network(self, group: dist.ProcessGroup | None) -> EmbeddingNetwork:
        """Return the network that the embedder gets: the trained one, its features whitened where that is asked for."""
        network, settings = self._state.feature_network, self._settings.network
        if settings.whiten_within is not None:
            views, labels_B = self._data.whitening_views
            of_views_BD = features_of(network, views, self._device, group).astype(np.float64)
            map_DD = within_class_whitening(of_views_BD, labels_B, settings.whiten_within)
            return whitened(network, map_DD, of_views_BD.mean(axis=0))
        if settings.whiten is None:
            return network
        features_BD = features_of(network, self._data.whitening_crops(), self._device, group)
        return whitened(network, *whitening(features_BD, settings.whiten))

    def _embedder(self, network: EmbeddingNetwork, scores: Mapping[str, float]) -> Embedder:
        facts = {
            "settings": self._settings.model_dump(mode="json"),
            "data_digest": self._data.digest,
            "classes": self._data.classes,
            "steps": self._settings.schedule.epochs * self._data.steps_per_epoch,
            "held_out": held_out_of(scores),
            **({"probe": probe_of(scores)} if _PROBE_AUC in scores else {}),
            "epoch": scores.get("epoch", float(self._state.progress.epoch)),
        }
        return Embedder(network, self._settings.data.crop, facts)


def as_held_out(scores: Mapping[str, float]) -> dict[str, float]:
    """Return held-out scores under held_out_…, as they stand among the scores of an evaluation."""
    return {f"{_HELD_OUT}{name}": value for name, value in scores.items()}


def held_out_of(scores: Mapping[str, float]) -> dict[str, float]:
    """Return the held-out scores among `scores`, by their own names."""
    return {name.removeprefix(_HELD_OUT): value for name, value in scores.items() if name.startswith(_HELD_OUT)}


def probe_of(scores: Mapping[str, float]) -> dict[str, float]:
    """Return the probe's scores among `scores`: `auc`, `auc_low` and `auc_high`; empty if it was not asked."""
    return {name.removeprefix(_PROBE): value for name, value in scores.items() if name.startswith(_PROBE)}


@torch.no_grad()
def features_of(
    network: EmbeddingNetwork,
    crops: NDArray[np.uint8],
    device: torch.device,
    group: dist.ProcessGroup | None,
) -> NDArray[np.float32]:
    """Return features (n, 512), not normalised, of crops that every rank has; each rank embeds its share."""
    rank, world = (group.rank(), group.size()) if group is not None else (0, 1)
    if group is not None:
        # Running means differ between ranks until the next forward pass: all use rank 0's.
        for buffer in network.buffers():
            dist.broadcast(buffer, 0, group=group)
    network.eval()
    share = crops[rank::world]
    mine_BD = np.empty((len(share), FEATURE_DIM), np.float32)
    for start in range(0, len(share), _BATCH):
        batch = torch.from_numpy(np.ascontiguousarray(share[start : start + _BATCH])).to(device)
        mine_BD[start : start + _BATCH] = network(batch).float().cpu().numpy()
    shares: list[Any] = [mine_BD]
    if group is not None:
        shares = [None] * world
        dist.all_gather_object(shares, mine_BD, group=group)
    features_BD = np.empty((len(crops), FEATURE_DIM), np.float32)
    for number, features in enumerate(shares):
        features_BD[number::world] = features
    return features_BD


def _chooses(scores: Mapping[str, float]) -> bool:
    """Return whether `scores` hold a number that the weights to keep are chosen by."""
    return _PROBE_AUC in scores or _RECALL in scores


def _quality(scores: Mapping[str, float]) -> tuple[float, float, float]:
    """Return the sort key of an evaluation: the probe first, then the held-out scores."""
    return scores.get(_PROBE_AUC, -1.0), scores.get(_RECALL, -1.0), scores.get(_PRECISION, -1.0)
