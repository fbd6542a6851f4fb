"""Tracking scores of an embedder during its training."""

from __future__ import annotations

from pathlib import Path

from ssat.embedding.embedder import Embedder
from ssat.errors import InputError
from ssat.mot.find import find_sequences
from ssat.mot.rows import MotRows
from ssat.mot.scores import ToScore, score
from ssat.mot.sequence import MotSequence
from ssat.mot.splits import split_frames
from ssat.pipeline.inputs import read_frames
from ssat.pipeline.pipeline import track_frames
from ssat.pipeline.settings import BenchmarkSettings
from ssat.tracking import Tracker


class MotEvaluation:
    """Tracks the validation halves of MOTChallenge sequences with public detections, scored as `ssat benchmark` does.

    Raises:
        InputError: no sequence with frames and ground truth, or a faulty one.
    """

    def __init__(self, folder: Path) -> None:
        self._settings = BenchmarkSettings(mot=str(folder))
        self._sequences: list[tuple[MotSequence, range, MotRows, MotRows]] = []
        for sequence in find_sequences(folder):
            frames = split_frames(sequence.n_frames, self._settings.split)
            truth = sequence.ground_truth().within(frames)
            if sequence.has_frames and len(truth):
                sequence.check_images(frames)
                detections = sequence.detections(self._settings.detections).within(frames)
                self._sequences.append((sequence, frames, detections, truth))
        if not self._sequences:
            raise InputError(
                f"setting train.evaluate_mot: {folder} holds no sequence with frames (img1) and ground truth"
            )

    def __call__(self, embedder: Embedder) -> dict[str, float]:
        """`mot_idf1`, `mot_mota` (fractions) and `mot_idsw` over all sequences."""
        to_score = {}
        for sequence, frames, detections, truth in self._sequences:
            images = read_frames(sequence.frame_source(frames))
            tracker = Tracker(self._settings.association, sequence.frame_rate)
            tracked = track_frames(images, detections, tracker, embedder=embedder)
            to_score[sequence.name] = ToScore(truth, tracked.rows(), frames, sequence.rules)
        _, overall = score(to_score, self._settings.protocol)
        return {
            "mot_idf1": float(overall.idf1),
            "mot_mota": float(overall.mota),
            "mot_idsw": float(overall.idsw),
        }
