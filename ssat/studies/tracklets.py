"""The baseline "tracklet pseudo-labels": SORT labels unlabelled video, a network learns the labels by cross-entropy.

After the idea of UnsuperTrack (Karthik et al. 2020, arXiv 2006.02609), whose settings are not published in what we
have: it does not claim to be a reproduction.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from ssat.embedding.embedder import Embedder
from ssat.embedding.network import FEATURE_DIM, EmbeddingNetwork
from ssat.embedding.patches import crop_patches
from ssat.embedding.schedule import learning_rate_at
from ssat.embedding.settings import ScheduleSettings
from ssat.errors import InputError
from ssat.mot.find import find_sequences
from ssat.mot.rows import MotRows
from ssat.mot.sequence import MotSequence
from ssat.mot.splits import split_frames
from ssat.pipeline.pipeline import track_frames
from ssat.studies.settings import TrackletSettings
from ssat.tracking.baselines import make_tracker
from ssat.tracking.config import TrackerConfig
from ssat.video.sources import read_ahead


@dataclass(frozen=True)
class Tracklets:
    """Pseudo-labelled patches.

    Attributes:
        patches: (n, S, S, 3) uint8 RGB.
        labels: (n,) class of each: tracklets numbered from 0 over all sequences.
        per_sequence: sequence → its tracklets.
    """

    patches: NDArray[np.uint8]
    labels: NDArray[np.int64]
    per_sequence: dict[str, int]

    @property
    def classes(self) -> int:
        """Number of tracklets."""
        return sum(self.per_sequence.values())


def unlabelled_sequences(folders: Sequence[str]) -> list[MotSequence]:
    """Return the sequences that the settings name; their ground truth is never opened.

    Raises:
        InputError: no such sequence, or one without frames.
    """
    found = [sequence for folder in folders for sequence in find_sequences(Path(folder).expanduser())]
    for sequence in found:
        if not sequence.has_frames:
            raise InputError(f"{sequence.folder}: labels only, no frames (img1): nothing to learn appearance from")
    return found


def collect_tracklets(sequences: Sequence[MotSequence], settings: TrackletSettings) -> Tracklets:
    """Follow the detections of every sequence with SORT and cut the patches of its longer tracks.

    Raises:
        InputError: faulty frames or detections, or fewer than two tracklets.
    """
    parts, labels = [], []
    counts: dict[str, int] = {}
    for sequence in sequences:
        frames = split_frames(sequence.n_frames, settings.split)
        sequence.check_images(frames)
        rows = _chosen(_followed(sequence, frames, settings), settings)
        first = sum(counts.values())
        ids, numbers = np.unique(rows.ids, return_inverse=True)
        counts[sequence.name] = counts.get(sequence.name, 0) + len(ids)
        for frame, image in read_ahead(sequence.frame_source(frames)):
            at = rows.at(frame)
            patches, filled = crop_patches(image, rows.boxes[at], settings.crop)
            parts.append(patches[filled])
            labels.append(first + numbers[at][filled])
    if sum(counts.values()) < 2:
        named = ", ".join(counts) or "none"
        raise InputError(
            f"unlabelled sequences ({named}): SORT finds fewer than two tracks of {settings.min_frames} frames; "
            "name more sequences or lower tracklets.min_frames"
        )
    return Tracklets(np.concatenate(parts), np.concatenate(labels), counts)


def _followed(sequence: MotSequence, frames: range, settings: TrackletSettings) -> MotRows:
    detections = sequence.detections(settings.detections).within(frames)
    if settings.min_score is not None:
        detections = detections.select(detections.scores >= settings.min_score)
    tracker = make_tracker("sort", TrackerConfig(), sequence.frame_rate)
    tracked = track_frames(((frame, None) for frame in frames), detections, tracker)
    return tracked.rows()


def _chosen(rows: MotRows, settings: TrackletSettings) -> MotRows:
    """Return the rows of tracks that are long enough, evenly spread over each where it is longer than needed."""
    keep = np.zeros(len(rows), bool)
    for identity in np.unique(rows.ids):
        at = np.flatnonzero(rows.ids == identity)
        if len(at) >= settings.min_frames:
            n = min(len(at), settings.max_frames)
            keep[at[np.linspace(0, len(at) - 1, n).round().astype(int)]] = True
    return rows.select(keep)


def train_on_tracklets(
    tracklets: Tracklets, settings: TrackletSettings, on_epoch: Callable[[dict[str, float]], None] | None = None
) -> Embedder:
    """Return a network of the same family as SSAT's, trained to name the tracklet of a patch (softmax cross-entropy).

    The classifier is discarded; the 512 numbers before it are the feature, as SSAT's are. Half of the patches are
    mirrored, at random.
    """
    torch.manual_seed(settings.seed)
    rng = np.random.default_rng(settings.seed)
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    network = EmbeddingNetwork(settings.architecture).to(device).to(memory_format=torch.channels_last)
    head = nn.Linear(FEATURE_DIM, tracklets.classes).to(device)
    model = nn.Sequential(network, nn.BatchNorm1d(FEATURE_DIM).to(device), head)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.0, momentum=0.9, weight_decay=settings.weight_decay)
    schedule = ScheduleSettings(kind="cosine", learning_rate=settings.learning_rate, epochs=settings.epochs)
    n = len(tracklets.patches)
    # Batch normalisation needs two: a last batch of one patch is left out.
    starts = [start for start in range(0, n, settings.batch_size) if n - start >= 2]
    model.train()
    for epoch in range(settings.epochs):
        order, losses, right = rng.permutation(n), 0.0, 0
        for step, start in enumerate(starts):
            chosen = order[start : start + settings.batch_size]
            patches = tracklets.patches[chosen]
            mirrored = rng.random(len(chosen)) < 0.5
            patches[mirrored] = patches[mirrored, :, ::-1]
            labels = torch.from_numpy(tracklets.labels[chosen]).to(device)
            for group in optimizer.param_groups:
                group["lr"] = learning_rate_at((epoch + step / len(starts)) / settings.epochs, schedule)
            scores = model(torch.from_numpy(patches).to(device))
            loss = nn.functional.cross_entropy(scores, labels)
            optimizer.zero_grad(set_to_none=True)
            loss.backward()  # type: ignore[no-untyped-call]
            optimizer.step()
            losses += float(loss.detach()) / len(starts)
            right += int((scores.argmax(1) == labels).sum())
        if on_epoch is not None:
            on_epoch({"epoch": epoch + 1.0, "loss": losses, "accuracy": right / n})
    facts = {"tracklets": tracklets.per_sequence, "patches": n, "settings": settings.model_dump(mode="json")}
    return Embedder(network, settings.crop, facts)
