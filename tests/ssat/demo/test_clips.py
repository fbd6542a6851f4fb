from pathlib import Path

import av
import numpy as np
import pytest

from ssat.demo.clips import FPS, HEIGHT, WIDTH, render_clip, write_video
from ssat.demo.settings import DemoSettings
from ssat.demo.world import clip_id, world_folder, write_clips
from ssat.errors import InputError


def test_clips_repeat_for_a_seed_and_differ_otherwise() -> None:
    first, again, other, elsewhere = (
        np.stack(list(render_clip(seed, clip, 0.2, 8))) for seed, clip in ((0, 3), (0, 3), (0, 4), (1, 3))
    )
    assert first.shape == (round(0.2 * FPS), HEIGHT, WIDTH, 3)
    assert first.dtype == np.uint8
    np.testing.assert_array_equal(first, again)
    assert np.abs(first.astype(int) - other).mean() > 10
    assert np.abs(first.astype(int) - elsewhere).mean() > 10


def test_camera_figures_and_light_change_within_a_clip() -> None:
    frames = np.stack(list(render_clip(0, 1, 3.0, 8))).astype(float)
    assert np.ptp(frames.mean(axis=(1, 2, 3))) > 8  # brightness swings
    steps = np.abs(np.diff(frames[::10], axis=0)).mean(axis=(1, 2, 3))
    assert (steps > 3).all()  # nothing stands still


def test_video_comes_back_as_it_was_written(tmp_path: Path) -> None:
    frames = list(render_clip(0, 2, 0.5, 8))
    assert write_video(tmp_path / "clip.mp4", frames, FPS) == len(frames)
    with av.open(str(tmp_path / "clip.mp4")) as container:
        assert container.streams.video[0].average_rate == FPS
        decoded = [frame.to_ndarray(format="rgb24") for frame in container.decode(video=0)]
    assert len(decoded) == len(frames)
    assert np.abs(np.stack(decoded).astype(int) - np.stack(frames)).mean() < 8
    assert [path.name for path in tmp_path.iterdir()] == ["clip.mp4"]


def test_write_clips_makes_a_kinetics_list_and_skips_what_is_there(tmp_path: Path) -> None:
    settings = DemoSettings(clips=24, clip_seconds=3.0)
    listed = write_clips(tmp_path, settings, only=range(2))
    rows = listed.read_text().splitlines()
    assert rows[0] == "youtube_id,time_start,time_end,split"
    assert len(rows) == 25
    assert rows[1].split(",")[0] == clip_id(settings, 0)
    before = (tmp_path / f"{clip_id(settings, 0)}.mp4").stat().st_mtime_ns
    write_clips(tmp_path, settings, only=range(2))
    assert (tmp_path / f"{clip_id(settings, 0)}.mp4").stat().st_mtime_ns == before
    assert clip_id(settings, 0) != clip_id(DemoSettings(seed=1), 0)


def test_one_folder_holds_one_world(tmp_path: Path) -> None:
    first = world_folder(tmp_path, DemoSettings())
    first.mkdir(parents=True)
    assert world_folder(tmp_path, DemoSettings(clips=48, epochs=3)) == first  # more of the same world
    with pytest.raises(InputError, match="another world"):
        world_folder(tmp_path, DemoSettings(seed=1))
