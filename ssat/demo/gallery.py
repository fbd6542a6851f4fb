"""The gallery: results on rendered scenes, as pictures for docs/gallery.md."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from ssat.demo.comparison import Method, compare, result_path
from ssat.demo.sequences import FPS, write_sequence
from ssat.demo.showcase import side_by_side
from ssat.demo.visits import detect_visitors, render_visits
from ssat.embedding.colour import ColourEmbedder
from ssat.embedding.embedder import Embedder
from ssat.embedding.patches import crop_patches
from ssat.embedding.protocol import PatchEmbedder
from ssat.mot.ceiling import true_identities
from ssat.mot.rows import read_results
from ssat.mot.sequence import MotSequence
from ssat.pipeline.inputs import open_input
from ssat.pipeline.probing import load_footage, probe
from ssat.pipeline.row_features import features_of_rows
from ssat.pipeline.settings import ProbeSettings
from ssat.report.explained import explained_picture
from ssat.report.identity_lines import IdentityLines, identity_lines_figure
from ssat.report.probe import probe_figure
from ssat.report.sheets import crop_sheet
from ssat.tracking import Tracker, TrackerConfig
from ssat.tracking.explain import Explainer
from ssat.tracking.tracker import Association, Tracks
from ssat.video.annotated import identity_colour
from ssat.video.image_files import read_image
from ssat.video.pictures import write_jpeg

BOX, STRONG = "box term alone", "strong with colour"
_NAME, _SEED = "GALLERY-01", 501  # of scenes that no setting was chosen on
_REMEMBER_SECONDS = 60.0
_STILLS, _STILLS_WIDTH = 3, 900
_EXPLAIN_PANELS, _EXPLAIN_WIDTH = 3, 560
_PORTRAIT = (96, 48)  # height and width, pixels
_FRAME = 3  # pixels, around a portrait


@dataclass(frozen=True)
class GalleryScenes:
    """Size of the two scenes.

    Attributes:
        frames, figures: of the scene with crossings.
        visitors, visits: figures of the scene with returns, and visits of each.
        absence_seconds: shortest and longest time between two visits.
    """

    frames: int = 300
    figures: int = 8
    visitors: int = 8
    visits: int = 3
    absence_seconds: tuple[float, float] = (5.0, 60.0)


@dataclass
class Visit:
    """One crossing of a figure: its picture (H, W, 3) in every frame, and the identities that its boxes got.

    Attributes:
        without, remembered: by the tracker without long memory and with it; 0: none.
    """

    pictures: list[NDArray[np.uint8]] = field(default_factory=list)
    without: list[int] = field(default_factory=list)
    remembered: list[int] = field(default_factory=list)


def draw_gallery(images: Path, work: Path, scenes: GalleryScenes | None = None) -> dict[str, str]:
    """Render scenes, track them and write the pictures `gallery-*`.

    Args:
        images: folder `images` of the page.
        work: folder for scenes and result files.
        scenes: how large they are.

    Returns:
        Name of a block of the page → Markdown: the picture and the figures that belong to it.
    """
    scenes = scenes or GalleryScenes()
    images.mkdir(parents=True, exist_ok=True)
    sequence = MotSequence.open(write_sequence(work / "mot", _NAME, _SEED, 0, scenes.frames, scenes.figures))
    strong = TrackerConfig.strong(remember_seconds=_REMEMBER_SECONDS)
    methods = {BOX: Method(), STRONG: Method(ColourEmbedder(), strong)}
    scores = compare(work / "mot", methods, work / "results")
    results = {name: result_path(work / "results", name, _NAME) for name in methods}
    table = "\n".join(
        ["| | IDF1 | MOTA | identity switches |", "|---|---|---|---|"]
        + [f"| {name} | {100 * s.idf1:.1f} | {100 * s.mota:.1f} | {s.idsw} |" for name, s in scores.items()]
    )
    picture = tracks_picture(sequence, results, images / "gallery-tracks.jpg")
    visits = track_visits(_SEED, scenes)
    return {
        "tracks": f"{table}\n\n{_shown(picture)}",
        "identities": _shown(identities_picture(sequence, results, images / "gallery-identities.png")),
        "probe": _shown(probe_picture(sequence, images / "gallery-probe.png")),
        "explain": explanation(sequence, strong, images / "gallery-explain.jpg", work),
        "memory": f"{returns_restored(visits)}\n\n"
        + _shown(visits_picture(visits, images / "gallery-memory.jpg", work)),
    }


def tracks_picture(sequence: MotSequence, results: Mapping[str, Path], path: Path) -> Path:
    """Draw moments of a sequence, spread evenly, with the tracks of each result file in a column."""
    wanted = {int((n + 0.5) * sequence.n_frames / _STILLS) for n in range(_STILLS)}
    kept = [frame for index, frame in enumerate(side_by_side(sequence, results)) if index in wanted]
    return write_jpeg(_scaled(np.vstack(kept), _STILLS_WIDTH), path)


def identities_picture(sequence: MotSequence, results: Mapping[str, Path], path: Path) -> Path:
    """Draw a line for each figure, in the colours of the identities that each result file gives it."""
    truth, panels = sequence.ground_truth(), []
    for name, result in results.items():
        rows = read_results(result, sequence.n_frames)
        figures = true_identities(rows, truth)
        known = figures > 0
        panels.append(IdentityLines(name, rows.frames[known], figures[known], rows.ids[known]))
    return identity_lines_figure(panels, path)


def probe_picture(sequence: MotSequence, path: Path) -> Path:
    """Draw the result of a probe of two embedders on the sequence, without its labels."""
    settings = ProbeSettings(gaps_seconds=(0.1, 0.5, 1.0, 2.0))
    footage = load_footage(open_input(sequence.folder, None), settings, sequence.folder)
    embedders: list[tuple[str, PatchEmbedder]] = [
        ("colour", ColourEmbedder()),
        ("untrained network", Embedder.untrained()),
    ]
    return probe_figure(probe(footage, embedders, settings), path)


def explanation(sequence: MotSequence, config: TrackerConfig, path: Path, work: Path) -> str:
    """Explain an identity that was lost and found again, the one with the shortest story; returns Markdown."""
    detections, embedder = sequence.detections(), ColourEmbedder()
    numbers = range(1, sequence.n_frames + 1)
    source = sequence.frame_source(numbers)
    features = features_of_rows(source, detections, np.arange(len(detections)), embedder)
    tracker = Tracker(config, sequence.frame_rate)
    explainers: dict[int, Explainer] = {}

    def observe(given: Association) -> None:
        for explainer in explainers.values():
            explainer(given)

    tracker.observer = observe
    for number in numbers:
        image = read_image(sequence.image_path(number))
        # Every detection may start an identity with the next number.
        upcoming = range(tracker.next_id, tracker.next_id + len(detections))
        at = detections.at(number)
        explainers |= {identity: Explainer(identity, config) for identity in upcoming[: at.stop - at.start]}
        for explainer in explainers.values():
            explainer.seen(number, image)
        tracker.update(detections.boxes[at], features[at], detections.scores[at])
    found = min(filter(_found_again, explainers.values()), key=lambda explainer: len(explainer.moments))
    moments = found.moments[:_EXPLAIN_PANELS]
    picture = read_image(explained_picture(found.identity, moments, work / "explained.png"))
    return f"```\n{found.text()}```\n\n{_shown(write_jpeg(_scaled(picture, _EXPLAIN_WIDTH), path))}"


def track_visits(seed: int, scenes: GalleryScenes) -> dict[tuple[int, int], Visit]:
    """Track a scene that figures leave and come back to, without long memory and with it.

    Returns:
        Figure and number of the visit → the visit.
    """
    rng, embedder = np.random.default_rng([seed, 11]), ColourEmbedder()
    without, remembering = (
        Tracker(TrackerConfig.strong(camera_motion=False, remember_seconds=seconds), FPS)
        for seconds in (0.0, _REMEMBER_SECONDS)
    )
    visits: dict[tuple[int, int], Visit] = {}
    for frame in render_visits(seed, scenes.visitors, scenes.visits, scenes.absence_seconds):
        boxes, rows = detect_visitors(frame, rng)
        features = embedder(crop_patches(frame.image, boxes, embedder.input_size)[0]) if len(boxes) else None
        portraits, _ = crop_patches(frame.image, boxes, _PORTRAIT)
        first = without.update(boxes, features)
        second = remembering.update(boxes, features)
        for so_far, former in second.regained:
            for visit in visits.values():
                visit.remembered = [former if identity == so_far else identity for identity in visit.remembered]
        given = zip(rows.tolist(), portraits, _ids(first, len(rows)), _ids(second, len(rows)), strict=True)
        for row, portrait, by_first, by_second in given:
            visit = visits.setdefault((int(frame.figures[row]), int(frame.visits[row])), Visit())
            visit.pictures.append(portrait)
            visit.without.append(by_first)
            visit.remembered.append(by_second)
    return visits


def returns_restored(visits: Mapping[tuple[int, int], Visit]) -> str:
    """State how many returns have the identity of an earlier visit, without long memory and with it."""
    returns, counts = 0, [0, 0]
    for (figure, number), visit in visits.items():
        earlier = [other for (owner, before), other in visits.items() if owner == figure and before < number]
        returns += bool(earlier)
        counts[0] += _most(visit.without) in [_most(other.without) for other in earlier]
        counts[1] += _most(visit.remembered) in [_most(other.remembered) for other in earlier]
    return (
        f"{len({figure for figure, _ in visits})} figures return {returns} times in all. Without memory {counts[0]} "
        f"returns have the earlier identity, with a memory of {_REMEMBER_SECONDS:g} seconds {counts[1]}."
    )


def visits_picture(visits: Mapping[tuple[int, int], Visit], path: Path, work: Path) -> Path:
    """Draw the visits of each figure without long memory, then the same with it, framed in the identity's colour."""
    crops, labels = [], []
    for figure in sorted({figure for figure, _ in visits}):
        mine = [visits[key] for key in sorted(visits) if key[0] == figure]
        labels += [_most(visit.without) for visit in mine] + [_most(visit.remembered) for visit in mine]
        crops += [visit.pictures[len(visit.pictures) // 2] for visit in mine] * 2
    framed = [_framed(crop, identity) for crop, identity in zip(crops, labels, strict=True)]
    columns = 4 * len({number for _, number in visits})  # two figures in a row
    return write_jpeg(read_image(crop_sheet(np.stack(framed), labels, work / "visits.png", columns=columns)), path)


def _found_again(explainer: Explainer) -> bool:
    texts = [moment.text.split()[0] for moment in explainer.moments]
    return "lost:" in texts and "found" in texts


def _ids(tracks: Tracks, n: int) -> list[int]:
    """Return the identity of each of `n` detections, of tracks that are not confirmed too."""
    ids = np.zeros(n, np.int64)
    for shown in (tracks, tracks.unconfirmed):
        if shown is not None:
            ids[shown.detection_index] = shown.ids
    return [int(identity) for identity in ids]


def _most(identities: Sequence[int]) -> int:
    return Counter(identities).most_common(1)[0][0]


def _framed(portrait: NDArray[np.uint8], identity: int) -> NDArray[np.uint8]:
    framed = np.empty((portrait.shape[0] + 2 * _FRAME, portrait.shape[1] + 2 * _FRAME, 3), np.uint8)
    framed[:] = identity_colour(identity)
    framed[_FRAME:-_FRAME, _FRAME:-_FRAME] = portrait
    return framed


def _scaled(picture: NDArray[np.uint8], width: int) -> NDArray[np.uint8]:
    height = round(picture.shape[0] * width / picture.shape[1])
    return cv2.resize(picture, (width, height), interpolation=cv2.INTER_AREA).astype(np.uint8, copy=False)


def _shown(path: Path) -> str:
    title = path.stem.removeprefix("gallery-").capitalize()
    return f"![{title}]({path.parent.name}/{path.name})"
