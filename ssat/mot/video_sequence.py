"""Videos with labels beside them as sequences: CVAT for video 1.1 or COCO-video."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass, replace
from functools import cached_property, partial
from pathlib import Path

from ssat.clips.folders import VIDEO_SUFFIXES
from ssat.errors import InputError
from ssat.mot.coco_video import read_coco_video
from ssat.mot.cvat import read_cvat
from ssat.mot.detection_files import read_any_detections
from ssat.mot.rows import MotRows
from ssat.mot.sequence import PUBLIC, MotSequence, plain_name
from ssat.mot.video_labels import VideoLabels
from ssat.video.natural_order import natural_key
from ssat.video.sources import NumberedFrame, VideoSource
from ssat.workspace import sha256_of

_SINGLE = "annotations.xml"  # the name in CVAT's archives
_DETECTIONS = (".txt", ".parquet")


@dataclass(frozen=True)
class VideoSequence(MotSequence):
    """A sequence whose frames are those of a video file.

    Attributes:
        video: the file.
        labels: of the video; None: it can be tracked but not scored.
    """

    video: Path
    labels: VideoLabels | None

    @classmethod
    def of(cls, video: Path, read: Callable[[], VideoLabels] | None) -> VideoSequence:
        """Return the sequence of a video.

        Args:
            read: reads its labels; None: it has none.

        Raises:
            InputError: no video that can be read, labels that do not fit, or labels of frames that it does not have.
        """
        labels = None if read is None else read()
        source = VideoSource.open(video)
        with closing(iter(source)) as frames:
            _, image = next(frames)
        first, step = (0, 1) if labels is None else (labels.first, labels.step)
        there = source.n_frames or _count_packets(video)
        stated = None if labels is None else labels.n_frames
        n_frames = stated or -((first - there) // step)
        labelled = 0 if labels is None else int(labels.rows.frames.max(initial=0))
        needed = first + (max(n_frames, labelled) - 1) * step + 1
        if n_frames < 1 or needed > there:
            where = video if labels is None else labels.path
            raise InputError(
                f"{where}: labels up to frame {needed - 1}, counted from 0, but {video.name} has {there} frames; "
                "expected labels of that video. Label it again, or give the video that was labelled"
            )
        return cls(
            name=plain_name(video, "name", video.stem),
            folder=video.parent,
            frame_rate=source.frame_rate / step,
            n_frames=n_frames,
            width=image.shape[1],
            height=image.shape[0],
            image_folder=None,
            image_suffix="",
            video=video.absolute(),
            labels=labels,
        )

    @property
    def listed_name(self) -> str:
        """The name of the video without its ending."""
        return self.name

    @property
    def has_frames(self) -> bool:
        """A video has frames."""
        return True

    def image_path(self, frame: int) -> Path:
        """Raise InputError: the frames are in a video."""
        raise InputError(
            f"{self.video}: frame {frame} is in a video, expected an image file; write the frames into a MOTChallenge "
            "sequence (seqinfo.ini, img1) to use them here"
        )

    def frame_file(self, frame: int) -> Path:
        """Return the video."""
        return self.video

    def frame_digest(self, frame: int) -> str:
        """Return a SHA-256 of the video's content and the number of the frame."""
        return hashlib.sha256(f"{self._video_digest}/{self._place(frame)}".encode()).hexdigest()

    def check_images(self, frames: range) -> None:
        """Do nothing: the length was compared with the video when it was opened."""

    def frame_source(self, numbers: Sequence[int], frame_rate: float | None = None) -> ChosenFrames:
        """Return the frames of those numbers; those before them are decoded too."""
        source = VideoSource.open(self.video)
        places = {self._place(number) + 1: number for number in numbers}
        return ChosenFrames(source, self.name, frame_rate or self.frame_rate, places, (self.width, self.height))

    def detection_path(self, detections: str = PUBLIC) -> Path:
        """NAME.txt or NAME.parquet beside the video, or NAME.txt in the folder that `detections` names."""
        if detections != PUBLIC:
            return self.folder / plain_name(self.folder, "detections", detections) / f"{self.name}.txt"
        paths = [self.folder / f"{self.name}{suffix}" for suffix in _DETECTIONS]
        return next((path for path in paths if path.is_file()), paths[0])

    def detections(self, detections: str = PUBLIC) -> MotRows:
        """Return the detections of the labelled frames; the file counts the frames of the video from 1.

        Raises:
            InputError: no such file, or a line that does not fit.
        """
        path = self.detection_path(detections)
        if not path.is_file():
            raise InputError(
                f"{path}: no such detection file; expected NAME.txt or NAME.parquet beside the video. Or let a network "
                "find people with setting `detector`"
            )
        rows = read_any_detections(path).rows
        if self.labels is None or (self.labels.first, self.labels.step) == (0, 1):
            return rows.within(range(1, self.n_frames + 1))
        steps, rest = divmod(rows.frames - 1 - self.labels.first, self.labels.step)
        return replace(rows, frames=steps + 1).select(rest == 0).within(range(1, self.n_frames + 1))

    def ground_truth(self) -> MotRows:
        """Return the labels. Raises InputError where there are none."""
        if self.labels is None:
            raise InputError(
                f"{self.video}: no ground truth; expected {self.name}.xml of CVAT, or this video in a COCO-video file "
                "beside it. It can be tracked but not scored"
            )
        return self.labels.rows

    @cached_property
    def _video_digest(self) -> str:
        return sha256_of(self.video)

    def _place(self, frame: int) -> int:
        """Return the frame of the video, from 0."""
        return frame - 1 if self.labels is None else self.labels.first + (frame - 1) * self.labels.step


@dataclass(frozen=True)
class ChosenFrames:
    """Some frames of a video, with numbers of their own.

    Attributes:
        places: number in the video, from 1 → number here.
        size: (width, height) that every frame must have.
    """

    source: VideoSource
    name: str
    frame_rate: float
    places: dict[int, int]
    size: tuple[int, int]

    @property
    def n_frames(self) -> int:
        """How many frames there are."""
        return len(self.places)

    def __iter__(self) -> Iterator[NumberedFrame]:
        left = len(self.places)
        place = 0
        with closing(iter(self.source)) as frames:
            for place, image in frames:
                if place not in self.places:
                    continue
                size = (image.shape[1], image.shape[0])
                if size != self.size:
                    raise InputError(
                        f"{self.source.path}: frame {place} has {size[0]}x{size[1]} pixels, expected "
                        f"{self.size[0]}x{self.size[1]} as the first"
                    )
                yield self.places[place], image
                left -= 1
                if not left:
                    return
        if left:
            raise InputError(
                f"{self.source.path}: ends after frame {place}, expected frame {max(self.places)}; its header "
                "promises more than it holds. Write the video again"
            )


def labelled_videos(folder: Path) -> dict[str, Callable[[], MotSequence]]:
    """Return the name of every video in `folder` → what opens it; empty where none of them has labels.

    Raises:
        InputError: two videos of one name, or a COCO-video file that does not fit.
    """
    videos = sorted(
        (path for path in folder.glob("*") if path.suffix.lower() in VIDEO_SUFFIXES and path.is_file()),
        key=lambda path: natural_key(path.name),
    )
    if not videos:
        return {}
    readers: dict[str, Callable[[], VideoLabels]] = {}
    for path in sorted(folder.glob("*.json")):
        for name, labels in (read_coco_video(path) or {}).items():
            readers[name] = partial(_known, labels)
    for video in videos:
        if (own := video.with_suffix(".xml")).is_file():
            readers[video.stem] = partial(read_cvat, own)
        elif len(videos) == 1 and (folder / _SINGLE).is_file():
            readers[video.stem] = partial(read_cvat, folder / _SINGLE)
    if not any(video.stem in readers for video in videos):
        return {}
    opened: dict[str, Callable[[], MotSequence]] = {}
    for video in videos:
        if video.stem in opened:
            raise InputError(f"{video}: another video is called {video.stem} too; expected one of each name. Rename it")
        opened[video.stem] = partial(VideoSequence.of, video, readers.get(video.stem))
    return opened


def _known(labels: VideoLabels) -> VideoLabels:
    return labels


def _count_packets(video: Path) -> int:
    """Count the frames of a video whose header does not, without decoding them."""
    from ssat.video.untrusted import open_video

    container, stream = open_video(video)
    with container:
        return sum(1 for packet in container.demux(stream) if packet.size)
