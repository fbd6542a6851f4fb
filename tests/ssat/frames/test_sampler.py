import hashlib
import shutil
from collections import Counter
from itertools import islice
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

from ssat.errors import InputError
from ssat.frames.augment import Augment
from ssat.frames.sampler import FrameSampler
from ssat.frames.store import FrameStore


def make(store: FrameStore, **options: Any) -> FrameSampler:
    defaults: dict[str, Any] = {"class_ids": range(10), "batch_size": 16, "crop": 32, "short_side": 64}
    return FrameSampler(store, **{**defaults, **options})


def digests(sampler: FrameSampler, epoch: int = 0, start: int = 0) -> list[str]:
    return [
        hashlib.sha256(images.tobytes() + labels.tobytes()).hexdigest()
        for images, labels in sampler.epoch(epoch, start)
    ]


def drawn(sampler: FrameSampler, epoch: int) -> list[tuple[int, int]]:
    """(class id, frame) of all samples of an epoch, in order."""
    return [
        (int(group.facts.class_id[row]), int(group.facts.frame_index[row]))
        for _, batch in sampler.batches(epoch, 0)
        for group, sample in batch
        for row in [group.samples.row[sample]]
    ]


def test_batches_have_the_promised_shapes(small_store: FrameStore) -> None:
    sampler = make(small_store)
    assert sampler.steps_per_epoch == 315 // 16
    batches = list(sampler.epoch(0))
    assert len(batches) == sampler.steps_per_epoch
    for images, labels in batches:
        assert images.shape == (16, 32, 32, 3)
        assert images.dtype == np.uint8
        assert labels.dtype == np.int64
        assert ((labels >= 0) & (labels < 10)).all()


def test_an_epoch_takes_every_frame_once_in_another_order(small_store: FrameStore) -> None:
    sampler = make(small_store, batch_size=1)
    first, second = drawn(sampler, 0), drawn(sampler, 1)
    assert len(first) == len(set(first)) == 315
    assert set(first) == set(second)
    assert first != second


def test_the_crop_is_of_the_frame_of_its_label(small_store: FrameStore) -> None:
    """Each generated clip has its own pattern: the mean colour of a whole frame tells clips apart."""
    whole = make(small_store, crop=64, batch_size=45)
    means = {rank: [] for rank in range(10)}
    for images, labels in whole.epoch(0):
        for image, label in zip(images, labels, strict=True):
            means[int(label)].append(image.mean(axis=(0, 1)))
    from ssat.frames.crops import read_crops

    crops, labels, _ = read_crops(small_store, range(10), 30, 64, 64)
    for rank in range(10):
        reference = crops[labels == rank].mean(axis=(0, 1, 2))
        assert np.abs(np.mean(means[rank], axis=0) - reference).max() < 12


@pytest.mark.parametrize("workers", [1, 3])
def test_workers_change_nothing(small_store: FrameStore, workers: int) -> None:
    options = {
        "frames_per_clip": 12,
        "augment": Augment(flip=True, scale=(0.3, 1.0), aspect=(0.5, 2.0), brightness=0.2),
    }
    assert digests(make(small_store, workers=workers, **options)) == digests(make(small_store, **options))


def test_the_same_seed_gives_the_same_sequence_and_another_another(small_store: FrameStore) -> None:
    assert digests(make(small_store, seed=5)) == digests(make(small_store, seed=5))
    assert digests(make(small_store, seed=5)) != digests(make(small_store, seed=6))


@pytest.mark.parametrize("workers", [0, 2])
def test_an_epoch_goes_on_where_it_stopped(small_store: FrameStore, workers: int) -> None:
    whole = digests(make(small_store), epoch=3)
    assert digests(make(small_store, workers=workers), epoch=3, start=7) == whole[7:]


AUGMENT = Augment(flip=True, scale=(0.3, 1.0), aspect=(0.5, 2.0), brightness=0.2, contrast=0.2)


def together(parts: list[list[tuple[np.ndarray, np.ndarray]]]) -> list[str]:
    """Digests of the global steps that the batches of several processes make."""
    assert len({len(part) for part in parts}) == 1
    return [
        hashlib.sha256(
            np.concatenate([images for images, _ in step]).tobytes()
            + np.concatenate([labels for _, labels in step]).tobytes()
        ).hexdigest()
        for step in zip(*parts, strict=True)
    ]


@pytest.mark.parametrize("lanes", [1, 2])
@pytest.mark.parametrize("world", [1, 2, 3, 4, 8])
def test_any_number_of_processes_sees_the_same_crops_in_the_same_steps(
    small_store: FrameStore, world: int, lanes: int
) -> None:
    options = {"frames_per_clip": 20, "augment": AUGMENT, "lanes": lanes, "order_batch": 24}
    alone = digests(make(small_store, batch_size=24, **options), epoch=2)
    assert len(alone) == 200 // 24
    samplers = [
        make(small_store, batch_size=24 // world, process_rank=rank, world_size=world, **options)
        for rank in range(world)
    ]
    assert together([list(sampler.epoch(2)) for sampler in samplers]) == alone


def test_an_epoch_goes_on_with_other_numbers_of_processes(small_store: FrameStore) -> None:
    """3 steps of 24 on two processes, 3 of 20 on five (which do not divide 24), the rest on three."""
    options = {"augment": AUGMENT, "order_batch": 24}
    expected = list(make(small_store, batch_size=1, **options).epoch(1))
    position = 0
    for world, steps in ((2, 3), (5, 3), (3, 5)):
        batch = 24 // world
        samplers = [
            make(small_store, batch_size=batch, process_rank=rank, world_size=world, **options) for rank in range(world)
        ]
        parts = [list(islice(sampler.epoch(1, start_sample=position), steps)) for sampler in samplers]
        for step in zip(*parts, strict=True):
            images = np.concatenate([images for images, _ in step])
            wanted = expected[position : position + batch * world]
            assert np.array_equal(images, np.concatenate([images for images, _ in wanted]))
            position += batch * world
    assert position == 72 + 60 + 120


def test_processes_share_an_epoch_without_repetition(small_store: FrameStore) -> None:
    samplers = [make(small_store, process_rank=rank, world_size=3, batch_size=5) for rank in range(3)]
    assert {sampler.steps_per_epoch for sampler in samplers} == {21}
    samples = [sample for sampler in samplers for sample in drawn(sampler, 0)]
    assert len(samples) == len(set(samples)) == 315


def test_a_subset_of_clips_has_its_own_labels(small_store: FrameStore) -> None:
    sampler = make(small_store, class_ids=[9, 3, 4], batch_size=1)
    picks = drawn(sampler, 0)
    assert Counter(rank for rank, _ in picks) == {9: 30, 3: 30, 4: 30}
    labels = Counter(int(label) for _, batch in sampler.epoch(0) for label in batch)
    assert labels == {0: 30, 1: 30, 2: 30}


def test_fewer_frames_of_each_clip_others_every_epoch(small_store: FrameStore) -> None:
    sampler = make(small_store, frames_per_clip=8, batch_size=1)
    assert sampler.steps_per_epoch == 80
    first, second = set(drawn(sampler, 0)), set(drawn(sampler, 1))
    assert set(Counter(rank for rank, _ in first).values()) == {8}
    assert not first & second


def test_crops_may_grow_between_epochs(small_store: FrameStore) -> None:
    sampler = make(small_store)
    small = next(iter(sampler.epoch(0, crop=16, short_side=32)))
    large = next(iter(sampler.epoch(0, crop=64, short_side=64)))
    assert small[0].shape == (16, 16, 16, 3)
    assert large[0].shape == (16, 64, 64, 3)
    assert (small[1] == large[1]).all()


def test_frames_smaller_than_the_short_side_are_enlarged(small_store: FrameStore) -> None:
    images, _ = next(iter(make(small_store, crop=224, short_side=256).epoch(0)))
    assert images.shape == (16, 224, 224, 3)
    stored, _ = next(iter(make(small_store, crop=56, short_side=64).epoch(0)))  # the same windows at the stored size
    reduced = np.stack([cv2.resize(image, (56, 56), interpolation=cv2.INTER_AREA) for image in images])
    assert np.abs(reduced.astype(int) - stored).mean(axis=(1, 2, 3)).max() < 6


def damaged(store: FrameStore, folder: Path, rows: int) -> FrameStore:
    """A copy of the store in which `rows` JPEGs of the first shard lost their beginning."""
    shutil.copytree(store.folder, folder)
    path = folder / store.manifest.shards[0].path
    content = bytearray(path.read_bytes())
    for _, _, jpeg in [row for some in store.select({0: None, 1: None}).values() for row in some][:rows]:
        at = content.find(jpeg)
        assert at > 0
        content[at : at + 20] = bytes(20)
    path.write_bytes(content)
    return FrameStore.open(folder)


@pytest.mark.parametrize("workers", [0, 2])
def test_a_corrupt_row_is_skipped_counted_and_reported(
    small_store: FrameStore, tmp_path: Path, workers: int, caplog: pytest.LogCaptureFixture
) -> None:
    sampler = make(damaged(small_store, tmp_path / "frames", 3), batch_size=15, workers=workers)
    batches = list(sampler.epoch(0))
    assert len(batches) == 21
    assert all(images.shape[0] == 15 for images, _ in batches)
    assert sampler.skipped == 3
    assert len(caplog.records) == 3
    assert "shard-00000" in caplog.text
    assert "frame 2) is skipped" in caplog.text


def test_what_stands_in_for_a_corrupt_row_is_the_same_for_any_number_of_processes(
    small_store: FrameStore, tmp_path: Path
) -> None:
    broken = damaged(small_store, tmp_path / "frames", 3)
    alone = make(broken, batch_size=15, augment=AUGMENT)
    expected = digests(alone)
    assert expected != digests(make(small_store, batch_size=15, augment=AUGMENT))
    samplers = [make(broken, batch_size=5, process_rank=rank, world_size=3, augment=AUGMENT) for rank in range(3)]
    assert together([list(sampler.epoch(0)) for sampler in samplers]) == expected
    assert sum(sampler.skipped for sampler in samplers) == alone.skipped == 3


def test_a_store_with_many_corrupt_rows_is_refused(small_store: FrameStore, tmp_path: Path) -> None:
    sampler = make(damaged(small_store, tmp_path / "frames", 40))
    with pytest.raises(InputError, match=r"rows cannot be decoded.*verify with setting `repair`"):
        list(sampler.epoch(0))


def test_stopping_half_way_stops_the_workers(small_store: FrameStore) -> None:
    batches = make(small_store, workers=2).epoch(0)
    next(batches)
    batches.close()  # type: ignore[attr-defined]
    assert len(list(make(small_store, workers=2).epoch(0))) == 19


@pytest.mark.parametrize(
    "options",
    [
        {"crop": 65},
        {"crop": 0},
        {"batch_size": 0},
        {"process_rank": 1},
        {"world_size": 0},
        {"workers": -1},
        {"class_ids": [99]},
        {"lanes": 3},
        {"lanes": 0},
    ],
)
def test_sizes_that_do_not_fit_are_refused(small_store: FrameStore, options: dict[str, Any]) -> None:
    with pytest.raises(InputError):
        make(small_store, **options)


@pytest.mark.real_data
def test_batches_of_real_clips_mix_clips_and_differ_from_frame_to_frame(real_store: FrameStore) -> None:
    sampler = FrameSampler(real_store, class_ids=range(4), batch_size=24, crop=112, short_side=128, workers=2)
    labels = np.stack([labels for _, labels in sampler.epoch(0)])
    assert (np.array([len(set(row)) for row in labels]) == 4).mean() > 0.8
    images, _ = next(iter(sampler.epoch(0)))
    assert len({image.tobytes() for image in images}) == 24
