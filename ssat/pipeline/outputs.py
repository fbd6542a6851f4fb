"""The files of one tracked input, written frame by frame: MOT text, Parquet, an annotated video."""

from __future__ import annotations

from collections.abc import Iterable
from contextlib import AbstractContextManager, ExitStack
from pathlib import Path
from types import TracebackType
from typing import IO, Any

import numpy as np
from numpy.typing import NDArray

from ssat.errors import InputError, WorkspaceError
from ssat.mot.rows import result_lines
from ssat.tracking.interpolate import GapFiller, Row
from ssat.tracking.tracker import Tracks
from ssat.video.annotated import AnnotatedVideo
from ssat.video.sources import Image
from ssat.workspace import committed

_ROWS_AT_A_TIME = 4096
_SUFFIXES = (".txt", ".parquet", ".mp4")


class TrackFiles(AbstractContextManager["TrackFiles"]):
    """NAME.txt, NAME.parquet and NAME.mp4 in one folder, complete when the context ends.

    Also where the tracking was cut short: what was written so far is finished, so the files hold every frame up to
    there. Only a file that cannot be written is dropped.

    Args:
        folder: made if it is missing.
        video: frames per second of the video; None: no video.
        fill_gaps: gaps of a track of up to so many frames are filled in text and table, which lag behind by as many;
            the video shows the tracks as they were followed.
        overwrite: replace files of an earlier run.

    Raises:
        InputError: files of that name are there already.
        WorkspaceError: the folder or a file cannot be written.
    """

    def __init__(
        self, folder: Path, name: str, *, video: float | None, fill_gaps: int = 0, overwrite: bool = False
    ) -> None:
        self.results = folder / f"{name}.txt"
        self.table = folder / f"{name}.parquet"
        self.video = folder / f"{name}.mp4"
        self.n_frames = 0
        self._rate = video
        self._filler = GapFiller(fill_gaps) if fill_gaps else None
        self._stack = ExitStack()
        self._text: IO[str] | None = None
        self._writer: Any = None
        self._annotated: AnnotatedVideo | None = None
        self._waiting: list[tuple[int, Row]] = []
        self._n_waiting = 0
        self._former: dict[int, int] = {}
        # If no video is written, a video of that name may be the input itself.
        suffixes = _SUFFIXES if video is not None else _SUFFIXES[:2]
        self._prepare(folder, [f"{name}{suffix}" for suffix in suffixes], overwrite)

    @staticmethod
    def _prepare(folder: Path, names: list[str], overwrite: bool) -> None:
        try:
            folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise WorkspaceError(
                f"{folder}: cannot be made ({error.strerror}); name another with setting `output`"
            ) from error
        there = [name for name in names if (folder / name).exists()]
        if there and not overwrite:
            raise InputError(
                f"{folder}: holds {', '.join(there)} already; name another folder with setting `output`, or "
                "replace them with setting `overwrite`"
            )

    def __enter__(self) -> TrackFiles:
        import pyarrow.parquet as pq

        try:
            text = self._stack.enter_context(committed(self.results))
            self._text = self._stack.enter_context(text.open("w", encoding="ascii", newline="\n"))
            table = self._stack.enter_context(committed(self.table))
            self._writer = self._stack.enter_context(pq.ParquetWriter(table, _schema()))
        except OSError as error:
            self._stack.close()
            raise WorkspaceError(f"{self.results}: cannot be written ({error.strerror})") from error
        if self._rate is not None:
            self._annotated = AnnotatedVideo(self.video, self._rate)
            self._annotated.__enter__()
        return self

    def write(
        self, number: int, image: Image | None, tracks: Tracks, lost: tuple[NDArray[Any], NDArray[Any]] | None = None
    ) -> None:
        """Write the next frame: its tracks, and identities and last boxes of lost tracks if they are drawn."""
        scores = np.ones(len(tracks)) if tracks.scores is None else tracks.scores
        self._former |= dict(tracks.regained)
        rows = (tracks.ids, tracks.boxes, scores)
        try:
            self._write_rows([(number, rows)] if self._filler is None else self._filler.add(number, *rows))
        except OSError as error:
            raise WorkspaceError(f"{self.results}: cannot be written ({error.strerror}); free space") from error
        self.n_frames += 1
        if self._annotated is not None:
            try:
                self._annotated.write(number, image, tracks, lost)
            except WorkspaceError as error:
                # Text and table are completed up to this frame.
                broken, self._annotated = self._annotated, None
                broken.__exit__(type(error), error, error.__traceback__)
                raise

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        # Closed as after success: the frames up to here are complete.
        try:
            try:
                if self._filler is not None:
                    self._write_rows(self._filler.finish())
                self._write_table()
            except OSError as late:
                self._stack.__exit__(type(late), late, late.__traceback__)
                raise WorkspaceError(f"{self.table}: cannot be written ({late.strerror}); free space") from late
            self._stack.__exit__(None, None, None)
            self._write_former()
        finally:
            if self._annotated is not None:
                if self.n_frames:
                    self._annotated.__exit__(None, None, None)
                else:
                    self._annotated.__exit__(kind or InputError, error, trace)

    def _write_former(self) -> None:
        """Give people who were recognised only some time after they returned their identity from their return on."""
        if not self._former:
            return
        import pyarrow as pa
        import pyarrow.parquet as pq

        try:
            with (
                committed(self.results) as temporary,
                self.results.open(encoding="ascii") as lines,
                temporary.open("w", encoding="ascii", newline="\n") as file,
            ):
                for line in lines:
                    frame, identity, rest = line.split(",", 2)
                    file.write(f"{frame},{self._former.get(int(identity), int(identity))},{rest}")
            table = pq.read_table(self.table)
            ids = [self._former.get(identity, identity) for identity in table["id"].to_pylist()]
            with committed(self.table) as temporary:
                pq.write_table(table.set_column(1, "id", pa.array(ids, pa.int64())), temporary)
        except OSError as error:
            raise WorkspaceError(f"{self.results}: cannot be written ({error.strerror}); free space") from error

    def _write_rows(self, frames: Iterable[tuple[int, Row]]) -> None:
        assert self._text is not None  # noqa: S101 - entered; for the type checker
        for number, (ids, boxes, scores) in frames:
            self._text.writelines(result_lines([number] * len(ids), ids, boxes, scores))
            self._waiting.append((number, (ids, boxes, scores)))
            self._n_waiting += len(ids)
            if self._n_waiting >= _ROWS_AT_A_TIME:
                self._write_table()
        # Concurrent readers see whole frames.
        self._text.flush()

    def _write_table(self) -> None:
        import pyarrow as pa

        if not self._waiting:
            return
        frames = np.repeat([number for number, _ in self._waiting], [len(rows[0]) for _, rows in self._waiting])
        ids, boxes, scores = (
            np.concatenate(column) for column in zip(*(rows for _, rows in self._waiting), strict=True)
        )
        arrays = [pa.array(column) for column in (frames.astype(np.int64), ids, *boxes.T.copy(), scores)]
        self._writer.write_table(pa.Table.from_arrays(arrays, schema=_schema()))
        self._waiting, self._n_waiting = [], 0


def _schema() -> Any:
    import pyarrow as pa

    sides = [(name, pa.float64()) for name in ("x1", "y1", "x2", "y2", "score")]
    return pa.schema([("frame", pa.int64()), ("id", pa.int64()), *sides])
