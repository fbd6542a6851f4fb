import numpy as np

from ssat.embedding.patches import crop_patches


def test_a_box_is_cut_out_and_clipped_to_the_image() -> None:
    image = np.arange(40 * 60 * 3, dtype=np.uint32).reshape(40, 60, 3).astype(np.uint8)
    boxes = np.array([[10.2, 5.4, 26.0, 21.0], [-8.0, -8.0, 8.0, 8.0], [70.0, 5.0, 80.0, 9.0], [5.0, 5.0, 5.2, 30.0]])
    patches, filled = crop_patches(image, boxes, 16)
    assert patches.shape == (4, 16, 16, 3)
    assert filled.tolist() == [True, True, False, False]
    # 16 x 16 pixels of the image are taken as they are.
    np.testing.assert_array_equal(patches[0], image[5:21, 10:26])
    # A box half outside is clipped, then stretched: its corners are those of the visible part.
    np.testing.assert_array_equal(patches[1][0, 0], image[0, 0])
    assert not patches[2:].any(), "nothing of them is inside the image"


def test_an_axis_that_shrinks_is_averaged_and_one_that_grows_is_interpolated() -> None:
    # 8 wide and 64 tall, rows alternating black and white: averaged to grey, not sampled to stripes.
    stripes = np.zeros((64, 8, 3), np.uint8)
    stripes[::2] = 255
    (patch,), _ = crop_patches(stripes, np.array([[0.0, 0.0, 8.0, 64.0]]), 16)
    assert abs(patch.astype(int) - 128).max() <= 1
    ramp = np.repeat(np.arange(0, 200, 50, dtype=np.uint8)[None, :, None], 16, axis=0).repeat(3, axis=2)
    (patch,), _ = crop_patches(ramp, np.array([[0.0, 0.0, 4.0, 16.0]]), 16)
    steps = np.diff(patch[8, :, 0].astype(int))
    assert steps.min() >= 0
    assert steps.max() < 50


def test_no_boxes() -> None:
    patches, filled = crop_patches(np.zeros((4, 4, 3), np.uint8), np.empty((0, 4)), 8)
    assert patches.shape == (0, 8, 8, 3)
    assert filled.shape == (0,)
