"""Followed patches have known right values: a textured figure that moves by known steps."""

from pathlib import Path

import av
import numpy as np
import pytest
from numpy.typing import NDArray

from ssat.patches.clips import PatchTable, joined, patches_of_clip
from ssat.patches.follow import follow_patches
from ssat.patches.settings import FollowSettings
from ssat.patches.views import ViewRule, view
from ssat.video.untrusted import VideoError

_HEIGHT, _WIDTH, _RATE = 200, 320, 15


def _textured(rng: np.random.Generator, height: int, width: int) -> NDArray[np.uint8]:
    coarse = rng.integers(0, 256, (-(-height // 8), -(-width // 8), 3), dtype=np.uint8)
    return coarse.repeat(8, axis=0).repeat(8, axis=1)[:height, :width]


def _scene(frames: int, step: tuple[float, float] = (2.0, 0.0), camera: float = 0.0) -> list[NDArray[np.uint8]]:
    """A tall textured figure (120 x 50) that moves by `step` pixels a frame on a textured ground that moves itself."""
    rng = np.random.default_rng(5)
    ground, figure = _textured(rng, _HEIGHT, _WIDTH + 400), _textured(rng, 120, 50)
    images = []
    for at in range(frames):
        shift = round(camera * at)
        image = ground[:, 100 + shift : 100 + shift + _WIDTH].copy()
        x, y = round(130 + step[0] * at), round(40 + step[1] * at)
        shown = image[y : y + 120, max(x, 0) : max(x + 50, 0)]
        shown[:] = figure[:, max(-x, 0) :][:, : shown.shape[1]]
        images.append(image)
    return images


def _greys(images: list[NDArray[np.uint8]]) -> list[NDArray[np.uint8]]:
    return [image.mean(axis=2).astype(np.uint8) for image in images]


def _on_figure(box: NDArray[np.float64]) -> bool:
    """Whether a box of the first frame lies well within the figure."""
    return bool((box[:2] >= (128, 38)).all() and (box[2:] <= (182, 162)).all())


def test_a_patch_of_the_figure_goes_where_the_figure_goes() -> None:
    found = follow_patches(_greys(_scene(40)), _RATE, FollowSettings(per_clip=60), seed=1)
    on_figure = [patch for patch in found if _on_figure(patch.boxes[0])]
    still = [patch for patch in found if patch.boxes[0][2] < 120]
    assert on_figure
    assert still
    for patch in on_figure:
        steps = np.arange(len(patch.boxes))
        expected = patch.boxes[0] + np.stack((2 * steps, 0 * steps, 2 * steps, 0 * steps), axis=1)
        assert np.abs(patch.boxes - expected).max() < 2
        assert patch.moving
    for patch in still:
        assert np.abs(patch.boxes - patch.boxes[0]).max() < 2
        assert not patch.moving


def test_what_moves_with_a_camera_does_not_move_against_the_background() -> None:
    greys = _greys(_scene(40, step=(-3.0, 0.0), camera=3.0))
    found = follow_patches(greys, _RATE, FollowSettings(per_clip=60), seed=1)
    assert found
    assert not any(patch.moving for patch in found), "the figure stands still on the ground that the camera passes"


def test_a_patch_that_leaves_the_picture_ends_there() -> None:
    greys = _greys(_scene(60, step=(5.0, 0.0)))
    found = follow_patches(greys, _RATE, FollowSettings(per_clip=60, min_seconds=0.5), seed=1)
    on_figure = [patch for patch in found if patch.first == 0 and _on_figure(patch.boxes[0])]
    assert on_figure
    for patch in on_figure:
        seen = np.clip(patch.boxes[:, 2], 0, _WIDTH) - np.clip(patch.boxes[:, 0], 0, _WIDTH)
        assert (seen >= 0.6 * (patch.boxes[:, 2] - patch.boxes[:, 0]) - 1e-6).all()
        assert len(patch.boxes) <= 40, "it has left after 38 frames"


def test_short_and_flat_clips_have_no_patches() -> None:
    assert follow_patches(_greys(_scene(10)), _RATE, FollowSettings(), seed=1) == []
    flat = [np.full((_HEIGHT, _WIDTH), 90, np.uint8)] * 40
    assert follow_patches(flat, _RATE, FollowSettings(), seed=1) == []


def test_patches_follow_from_the_seed() -> None:
    greys = _greys(_scene(30))
    one, again, other = (follow_patches(greys, _RATE, FollowSettings(per_clip=6), seed) for seed in (1, 1, 2))
    assert [patch.boxes.tolist() for patch in one] == [patch.boxes.tolist() for patch in again]
    assert [patch.boxes[0].tolist() for patch in one] != [patch.boxes[0].tolist() for patch in other]


@pytest.fixture(scope="module")
def clip(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("clip") / "walk.mp4"
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=30, options={"crf": "16"})
        stream.width, stream.height, stream.pix_fmt = _WIDTH, _HEIGHT, "yuv420p"
        for image in _scene(90, step=(1.0, 0.0)):
            container.mux(stream.encode(av.VideoFrame.from_ndarray(image, format="rgb24")))
        container.mux(stream.encode())
    return path


def test_a_clip_becomes_a_table_that_can_be_kept(clip: Path, tmp_path: Path) -> None:
    table = patches_of_clip(clip, FollowSettings(per_clip=6, boxes=5), seed=3)
    assert 1 <= table.n_patches <= 6
    assert len(table) == 5 * table.n_patches
    assert table.cuts.shape == (len(table), 160, 80, 3)
    assert table.frame.max() < 45, "every second frame is looked at"
    assert (table.boxes[:, 2:] > table.boxes[:, :2]).all()
    assert (table.boxes[:, 2:] < 1.5).all()
    table.save(tmp_path / "patches.npz")
    kept = PatchTable.load(tmp_path / "patches.npz")
    for name in PatchTable.__dataclass_fields__:
        np.testing.assert_array_equal(getattr(kept, name), getattr(table, name))
    both = joined([table, kept])
    assert both.n_patches == 2 * table.n_patches
    assert set(both.start[len(table) :].tolist()).isdisjoint(both.start[: len(table)].tolist())


def test_every_cut_of_a_patch_shows_the_same_thing(clip: Path) -> None:
    table = patches_of_clip(clip, FollowSettings(per_clip=40, boxes=5), seed=3)
    shown = 0
    for patch in range(table.n_patches):
        boxes = table.boxes[table.patch == patch]
        if boxes[:, 2].max() * _WIDTH > 125 and not _on_figure(boxes[0] * (_WIDTH, _HEIGHT, _WIDTH, _HEIGHT)):
            continue  # the figure passes in front of it
        shown += 1
        middles = table.cuts[table.patch == patch][:, 40:120, 20:60].astype(float)
        assert np.abs(middles - middles[0]).mean() < 20
    assert shown


def test_what_is_no_video_is_refused(tmp_path: Path) -> None:
    (tmp_path / "text.mp4").write_text("no video")
    with pytest.raises(VideoError):
        patches_of_clip(tmp_path / "text.mp4", FollowSettings(), seed=0)


def _uniform(colours: list[int]) -> PatchTable:
    n = len(colours)
    cuts = np.array(colours, np.uint8)[:, None, None, None].repeat(160, 1).repeat(80, 2).repeat(3, 3)
    return PatchTable(np.arange(n), np.zeros(n, int), np.zeros(n, int), np.zeros((n, 4)), np.zeros(n), cuts)


def test_a_view_keeps_the_middle_and_replaces_what_is_around_it() -> None:
    table, rng = _uniform([200, 40]), np.random.default_rng(0)
    rule = ViewRule(cover=0, blur=0, gain=0, channel_gain=0, warp=0)
    views = np.stack([view(table, 0, rng, rule) for _ in range(40)]).astype(int)
    assert views.shape == (40, 128, 64, 3)
    middle, corners = views[:, 56:72, 28:36], views[:, :4, :4]
    assert np.abs(middle - 200).max() <= 9, "only the offset of at most 8 levels"
    # Half of the backgrounds are the other patch of the same frames, the rest either of the two.
    assert 0.55 < (np.abs(corners - 40).max(axis=(1, 2, 3)) <= 9).mean() < 0.95


def test_no_tables_are_joined_to_an_empty_one() -> None:
    table = joined([])
    assert (len(table), table.n_patches) == (0, 0)
    assert table.cuts.shape == (0, 160, 80, 3)
    assert joined([table, _uniform([200, 40])]).n_patches == 2
