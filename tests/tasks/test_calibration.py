"""What the probe measured of an embedder, kept for later tracking."""

from pathlib import Path

import numpy as np
import pytest

from ssat.embedding.colour import ColourEmbedder
from ssat.embedding.embedder import Embedder
from ssat.errors import InputError
from ssat.pipeline.settings import TrackSettings
from ssat.tracking.probe import Calibration
from ssat.workspace import Workspace
from tasks.calibration import store_calibration, stored_median, with_stored_calibration

MEASURED = (Calibration(2.0, 0.4, 300), Calibration(4.0, 0.2, 100), Calibration(float("nan"), float("nan"), 0))


@pytest.fixture
def workspace(tmp_path: Path) -> Workspace:
    return Workspace.open(tmp_path / "ws")


def test_an_embedder_without_a_file_has_its_median_in_the_workspace(workspace: Workspace) -> None:
    colour = ColourEmbedder()
    assert stored_median(colour, workspace) is None
    path = store_calibration("colour", colour, MEASURED, workspace)
    assert path == workspace.calibration / f"{colour.digest}.json"
    assert stored_median(colour, workspace) == pytest.approx(0.35), "weighted by the pairs"
    assert stored_median(ColourEmbedder(32), workspace) is None, "another feature"


def test_a_file_of_ours_takes_it_along(workspace: Workspace, tmp_path: Path) -> None:
    path = tmp_path / "embedder.safetensors"
    Embedder.untrained(input_size=32).save(path)
    before = Embedder.load(path)
    assert store_calibration(str(path), before, MEASURED, workspace) == path
    after = Embedder.load(path)
    assert stored_median(after, Workspace.open(tmp_path / "other")) == pytest.approx(0.35)
    assert after.digest == before.digest, "the features are the same, and so are cached ones"
    assert after.facts["untrained_seed"] == 0
    patches = np.zeros((1, 32, 32, 3), np.uint8)
    np.testing.assert_array_equal(after(patches), before(patches))


def test_too_few_pairs_are_not_stored(workspace: Workspace) -> None:
    colour = ColourEmbedder()
    assert store_calibration("colour", colour, [Calibration(2.0, 0.4, 19)], workspace) is None
    assert stored_median(colour, workspace) is None


def test_settings_start_from_the_stored_median(workspace: Workspace) -> None:
    colour = ColourEmbedder()
    store_calibration("colour", colour, MEASURED, workspace)
    strong, paper = TrackSettings.build("strong"), TrackSettings()
    started = with_stored_calibration(strong, colour, workspace).association
    assert started.stored_median == pytest.approx(0.35)
    assert started.model_copy(update={"stored_median": None}) == strong.association
    assert with_stored_calibration(paper, colour, workspace) is paper
    assert with_stored_calibration(strong, None, workspace) is strong, "the box tracker"
    named = TrackSettings.build("strong", {"association": {"stored_median": 0.7}})
    assert with_stored_calibration(named, colour, workspace) is named


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("{", "not JSON"),
        ("[]", "same_frame_median None"),
        ('{"same_frame_median": -1}', "same_frame_median -1; expected a number above 0"),
    ],
)
def test_a_damaged_file_is_named(workspace: Workspace, text: str, message: str) -> None:
    colour = ColourEmbedder()
    path = store_calibration("colour", colour, MEASURED, workspace)
    assert path is not None
    path.write_text(text)
    with pytest.raises(InputError, match=message) as caught:
        stored_median(colour, workspace)
    assert str(path) in str(caught.value)
