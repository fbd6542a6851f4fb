"""Progress of a training, and the record of each epoch."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, fields
from typing import Any, Self


@dataclass(frozen=True)
class EpochRecord:
    """One finished epoch; means over its steps and all processes."""

    epoch: int
    """Counted from 1."""
    loss: float
    accuracy: float
    """Share of images whose own class had the highest cosine."""
    target_cosine: float
    """Mean cosine between a feature and its own class's weight."""
    learning_rate: float
    """Of the last step."""
    images_per_second: float
    data_wait_share: float
    """Share of the time in which the step waited for images."""
    corrupt_frames: int
    """Frames that could not be decoded since the training started or went on."""
    workers: int
    """Processes that trained."""
    scores: Mapping[str, float] = field(default_factory=dict)
    """Scores of the evaluation after this epoch: held_out_… and those of `evaluate`; empty if there was none."""

    def row(self) -> dict[str, float]:
        """Return a flat row of numbers, scores included."""
        own = {name: float(value) for name, value in asdict(self).items() if name != "scores"}
        return {**own, **self.scores}

    @classmethod
    def from_row(cls, row: Mapping[str, float]) -> Self:
        """Return the record of a row that `row` gave."""
        values: dict[str, Any] = {}
        for entry in fields(cls):
            if entry.name != "scores":
                # Records of earlier versions lack the later columns.
                value = row.get(entry.name, 0.0)
                values[entry.name] = int(value) if entry.type == "int" else float(value)
        scores = {name: value for name, value in row.items() if name not in values}
        return cls(**values, scores=scores)


@dataclass
class Progress:
    """Progress of a training; part of its checkpoints."""

    epoch: int = 0
    """Epochs finished."""
    images: int = 0
    """Images of the current epoch that were trained on, over all processes."""
    step: int = 0
    """Steps taken."""
    sums: list[float] = field(default_factory=lambda: [0.0, 0.0, 0.0, 0.0])
    """Loss, accuracy, target cosine and number of the current epoch's steps."""
    history: list[EpochRecord] = field(default_factory=list)
    best: dict[str, float] = field(default_factory=dict)
    """Scores of the best evaluation so far, with its `epoch`."""
    best_step: int | None = None
    """Steps taken when that evaluation was made."""

    def advance(self, images: int) -> None:
        """Count a step on `images` images."""
        self.step += 1
        self.images += images

    def end_epoch(self, record: EpochRecord) -> None:
        """Count the epoch that `record` is of."""
        self.epoch += 1
        self.images, self.sums = 0, [0.0, 0.0, 0.0, 0.0]
        self.history.append(record)

    def state_dict(self) -> dict[str, Any]:
        """Return everything as JSON values."""
        return {**vars(self), "history": [record.row() for record in self.history]}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Take what `state_dict` gave."""
        self.epoch, self.images, self.step = int(state["epoch"]), int(state["images"]), int(state["step"])
        self.sums, self.best = list(state["sums"]), dict(state["best"])
        self.history = records(state["history"])
        self.best_step = state.get("best_step")


def records(rows: Sequence[Mapping[str, float]]) -> list[EpochRecord]:
    """Return the records of rows that `EpochRecord.row` gave."""
    return [EpochRecord.from_row(row) for row in rows]
