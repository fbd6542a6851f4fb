"""Batches of instances from a small store: the right pictures, several of a frame, the same for any processes."""

from collections.abc import Sequence
from pathlib import Path

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from ssat.errors import InputError
from ssat.frames.augment import Image
from ssat.frames.instance_sampler import InstanceSampler
from ssat.frames.instances import InstanceTable
from ssat.frames.store import FrameStore

_PER_CLIP = 5  # of the table
_SIDE = 12


class MarkedViews:
    """The mean colour of the box in the upper half of a crop, that of what lends a background in the lower one."""

    def cut(self, frame: Image, box: NDArray[np.float64]) -> Image:
        x1, y1, x2, y2 = box.round().astype(int).tolist()
        return cv2.resize(frame[y1:y2, x1:x2], (1, 1), interpolation=cv2.INTER_AREA)

    def view(self, cut: Image, others: Sequence[Image], side: int, rng: np.random.Generator) -> Image:
        crop = np.empty((side, side, 3), np.uint8)
        crop[: side // 2] = cut[0, 0]
        crop[side // 2 :] = others[int(rng.integers(len(others)))][0, 0]
        return crop


def sampler(store: FrameStore, table: InstanceTable, **options: object) -> InstanceSampler:
    values = {"clips": range(10), "batch_size": 12, "per_frame": 3, "crop": _SIDE, "frames_per_clip": 4, "seed": 5}
    return InstanceSampler(store, table, MarkedViews(), **{**values, **options})  # type: ignore[arg-type]


def test_crops_show_the_boxes_of_their_class_and_frames_give_several(
    small_store: FrameStore, small_instances: InstanceTable
) -> None:
    drawn = sampler(small_store, small_instances)
    assert drawn.steps_per_epoch == 9 * 4 // 4
    assert drawn.empty_classes == [4]
    batches = list(drawn.epoch(0))
    images, labels = (np.concatenate(parts) for parts in zip(*batches, strict=True))
    assert len(batches) == drawn.steps_per_epoch
    assert labels.max() == 9 * _PER_CLIP - 1
    for start in range(0, len(labels), 3):
        of_frame = labels[start : start + 3]
        assert len(set(of_frame.tolist())) == 3, "different instances"
        assert len(set((of_frame // _PER_CLIP).tolist())) == 1, "of one clip"
    # The pattern moves with its boxes: a class has one colour, and the boxes of a clip have several.
    colours = images[:, 0, 0].astype(float)
    for label in np.unique(labels):
        assert np.ptp(colours[labels == label], axis=0).max() < 16
    first = [colours[labels == label][0] for label in np.unique(labels)]
    assert np.ptp(first, axis=0).min() > 60


def test_a_box_never_lends_its_own_background(small_store: FrameStore, small_instances: InstanceTable) -> None:
    images = np.concatenate([images for images, _ in sampler(small_store, small_instances).epoch(0)])
    differs = np.abs(images[:, 0, 0].astype(int) - images[:, -1, 0]).max(axis=1)
    assert (differs > 0).mean() > 0.9


@pytest.mark.parametrize("lanes", [1, 2])
def test_any_number_of_processes_and_threads_gives_the_same(
    small_store: FrameStore, small_instances: InstanceTable, lanes: int
) -> None:
    alone = list(sampler(small_store, small_instances, lanes=lanes).epoch(3))
    shares = [
        list(
            sampler(
                small_store,
                small_instances,
                batch_size=6,
                process_rank=rank,
                world_size=2,
                workers=2,
                order_batch=12,
                lanes=lanes,
            ).epoch(3)
        )
        for rank in range(2)
    ]
    assert len(alone) == len(shares[0]) == len(shares[1])
    for (images, labels), *parts in zip(alone, *shares, strict=True):
        np.testing.assert_array_equal(images, np.concatenate([part[0] for part in parts]))
        np.testing.assert_array_equal(labels, np.concatenate([part[1] for part in parts]))


def test_an_epoch_goes_on_in_the_middle(small_store: FrameStore, small_instances: InstanceTable) -> None:
    drawn = sampler(small_store, small_instances)
    whole, rest = list(drawn.epoch(1)), list(drawn.epoch(1, start_sample=5 * 12))
    assert drawn.steps_after(5 * 12) == len(rest) == len(whole) - 5
    for before, after in zip(whole[5:], rest, strict=True):
        np.testing.assert_array_equal(before[0], after[0])


def test_frames_with_too_few_instances_show_some_twice(small_store: FrameStore, small_instances: InstanceTable) -> None:
    images, labels = next(sampler(small_store, small_instances, batch_size=14, per_frame=7).epoch(0))
    assert images.shape == (14, _SIDE, _SIDE, 3)
    assert [len(set(part.tolist())) for part in (labels[:7], labels[7:])] == [_PER_CLIP, _PER_CLIP]


def test_a_batch_that_does_not_divide_is_refused(small_store: FrameStore, small_instances: InstanceTable) -> None:
    with pytest.raises(InputError, match="expected a multiple of the 3 crops"):
        sampler(small_store, small_instances, batch_size=10)


def test_a_damaged_table_ends_the_epoch(
    small_store: FrameStore, small_instances: InstanceTable, tmp_path: Path
) -> None:
    for path in Path(str(small_instances.folder)).iterdir():
        (tmp_path / path.name).write_bytes(path.read_bytes())
    (tmp_path / "part-00001.parquet").unlink()
    with pytest.raises(InputError, match=r"part-00001\.parquet: cannot be read"):
        list(sampler(small_store, InstanceTable.open(tmp_path)).epoch(0))
