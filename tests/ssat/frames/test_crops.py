import numpy as np
import pytest

from ssat.errors import InputError
from ssat.frames.augment import FrameDecoder, centre_crop
from ssat.frames.crops import read_crops
from ssat.frames.store import FrameStore


def test_crops_are_evenly_spaced_and_ordered(small_store: FrameStore) -> None:
    crops, labels, times = read_crops(small_store, [2, 0], 3, 48, 64)
    assert crops.shape == (6, 48, 48, 3)
    assert labels.tolist() == [0, 0, 0, 1, 1, 1]
    assert times.tolist() == [40_000 * i for i in (7, 22, 37, 5, 15, 25)]
    expected = centre_crop(FrameDecoder().decode(small_store.read_frames(2, [22])[0][1], 64), 48, 64)
    assert np.array_equal(crops[1], expected)


def test_a_short_clip_gives_what_it_has(small_store: FrameStore) -> None:
    _, labels, times = read_crops(small_store, [5], 1000, 16, 64)
    assert len(labels) == 30
    assert (np.diff(times) == 40_000).all()


@pytest.mark.parametrize(
    "arguments", [([99], 3, 48, 64), ([-1], 3, 48, 64), ([0], 0, 48, 64), ([0], 3, 65, 64), ([0], 3, 0, 64)]
)
def test_what_cannot_be_is_refused(small_store: FrameStore, arguments: tuple[list[int], int, int, int]) -> None:
    with pytest.raises(InputError):
        read_crops(small_store, *arguments)


@pytest.mark.real_data
def test_real_frames_of_one_clip_look_more_alike_than_those_of_others(real_store: FrameStore) -> None:
    crops, labels, times = read_crops(real_store, range(4), 4, 112, 128)
    assert len(crops) == 16
    flat = crops.reshape(16, -1).astype(float)
    distance = np.linalg.norm(flat[:, None] - flat[None], axis=2)
    same = labels[:, None] == labels[None]
    off = ~np.eye(16, dtype=bool)
    assert distance[same & off].mean() < distance[~same].mean()
    assert (times >= 0).all()
