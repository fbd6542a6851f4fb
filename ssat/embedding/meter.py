"""Numbers of the steps of an epoch: read from the device once in a while, checked, and averaged."""

from __future__ import annotations

import math
import time
from collections.abc import Iterator

import torch
from torch import Tensor
from torch import distributed as dist

from ssat.embedding.data import Batch, TrainingData
from ssat.embedding.progress import EpochRecord, Progress
from ssat.errors import SsatError


class NonFiniteLossError(SsatError):
    """The loss of a step is not finite.

    Attributes:
        loss: mean over all processes.
        step: number of the step, counted from 1.
        labels: labels of the batches whose loss is not finite.
    """

    def __init__(self, loss: float, step: int, labels: list[int]) -> None:
        super().__init__(f"loss {loss} at step {step}")
        self.loss = loss
        self.step = step
        self.labels = labels


class Meter:
    """Loss, accuracy and target cosine of the steps.

    `add` keeps a step's numbers where they are, on the device; only `check` waits for it. Every rank calls `check`
    after the same steps.
    """

    def __init__(self, progress: Progress, group: dist.ProcessGroup | None) -> None:
        self._progress = progress
        self._group = group
        self._pending: list[tuple[int, Tensor, list[int]]] = []
        self._last_loss = math.nan
        self._began = time.perf_counter()
        self._waited = 0.0
        self._first_image = 0

    def timed(self, batches: Iterator[Batch]) -> Iterator[Batch]:
        """Yield the batches of an epoch; measures from now on how long the step waits for them."""
        self._began, self._waited, self._first_image = time.perf_counter(), 0.0, self._progress.images
        while True:
            before = time.perf_counter()
            batch = next(batches, None)
            if batch is None:
                return
            self._waited += time.perf_counter() - before
            yield batch

    def add(self, values: Tensor, labels: list[int]) -> None:
        """Keep the numbers (3,) and the labels of this rank's part of the step that was just counted."""
        self._pending.append((self._progress.step, values, labels))

    @property
    def n_unread(self) -> int:
        """Steps whose numbers are still on the device."""
        return len(self._pending)

    def check(self) -> float:
        """Add the numbers since the last check to the sums of the epoch; return the loss of the last step.

        Raises:
            NonFiniteLossError: of the first step whose loss is not finite, on every rank.
        """
        if self._pending:
            steps, values, labels = zip(*self._pending, strict=True)
            self._pending = []
            own_K3 = torch.stack(values)
            mean_K3 = own_K3
            if self._group is not None:
                mean_K3 = own_K3.clone()
                dist.all_reduce(mean_K3, group=self._group)
                mean_K3 /= self._group.size()
            for index, numbers in enumerate(mean_K3.tolist()):
                if not math.isfinite(numbers[0]):
                    own_loss = float(own_K3[index, 0])
                    raise NonFiniteLossError(numbers[0], steps[index], self._spoilt(own_loss, labels[index]))
                sums = self._progress.sums
                self._progress.sums = [total + value for total, value in zip(sums, (*numbers, 1.0), strict=True)]
                self._last_loss = numbers[0]
        return self._last_loss

    def _spoilt(self, own_loss: float, labels: list[int]) -> list[int]:
        """Return labels of all parts of the batch whose loss is not finite."""
        own = [] if math.isfinite(own_loss) else labels
        parts = [own]
        if self._group is not None:
            parts = [[] for _ in range(self._group.size())]
            dist.all_gather_object(parts, own, group=self._group)
        return sorted({label for part in parts for label in part})

    def record(self, data: TrainingData, learning_rate: float) -> EpochRecord:
        """Return the record of the epoch that ends here, without scores."""
        elapsed = max(time.perf_counter() - self._began, 1e-9)
        loss, accuracy, target_cosine, steps = self._progress.sums
        return EpochRecord(
            epoch=self._progress.epoch + 1,
            loss=loss / max(steps, 1),
            accuracy=accuracy / max(steps, 1),
            target_cosine=target_cosine / max(steps, 1),
            learning_rate=learning_rate,
            images_per_second=(self._progress.images - self._first_image) / elapsed,
            data_wait_share=self._waited / elapsed,
            corrupt_frames=self._total(data.corrupt_frames),
            workers=data.world,
        )

    def _total(self, own: int) -> int:
        counts = [own]
        if self._group is not None:
            counts = [0] * self._group.size()
            dist.all_gather_object(counts, own, group=self._group)
        return sum(counts)
