"""Create the detectors that the settings name."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ssat.detection.settings import DetectorName
from ssat.pipeline.settings import BenchmarkSettings, TrackSettings
from ssat.workspace import Workspace, sha256_of

if TYPE_CHECKING:
    from ssat.detection.centertrack_detector import CenterTrackDetector
    from ssat.detection.torchvision_detector import TorchvisionDetector


def resolve_detector(
    settings: BenchmarkSettings | TrackSettings, workspace: Workspace
) -> tuple[TorchvisionDetector | CenterTrackDetector | None, CenterTrackDetector | None]:
    """Return the detector that processes frames in order and the one that the tracks lead; at most one is set.

    Raises:
        InputError: weights that are missing or do not fit; the message states where they are published.
    """
    if settings.detector is not None:
        return shelf_detector(settings.detector, settings.detector_score), None
    if settings.refine == "none":
        return None, None
    from ssat.detection.centertrack_detector import CenterTrackDetector
    from ssat.detection.checkpoint import checkpoint_path

    path = checkpoint_path(settings.refinement.checkpoint, workspace.root)
    refiner = CenterTrackDetector.load(path, settings.refinement)
    return (refiner, None) if settings.refine == "frozen" else (None, refiner)


def detector_digest(settings: BenchmarkSettings, workspace: Workspace) -> str | None:
    """Return the digest of the network that detects, as `resolve_detector` gives it; None if none does.

    Raises:
        InputError: weights that are missing.
    """
    if settings.refine != "none":
        from ssat.detection.checkpoint import checkpoint_path, refuse_missing

        path = checkpoint_path(settings.refinement.checkpoint, workspace.root)
        refuse_missing(path)
        return sha256_of(path)
    detector, _ = resolve_detector(settings, workspace)
    return None if detector is None else detector.digest


def shelf_detector(name: DetectorName | None, least_score: float) -> TorchvisionDetector | None:
    """Return torchvision's network of that name, trained on COCO; None without a name."""
    if name is None:
        return None
    from ssat.detection.torchvision_detector import TorchvisionDetector

    return TorchvisionDetector(name, least_score)
