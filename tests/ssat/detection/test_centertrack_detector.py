import numpy as np
import pytest
import torch

from ssat.detection.centertrack_detector import CenterTrackDetector
from ssat.detection.decode import decode
from ssat.detection.detections import Detections
from ssat.detection.geometry import InputMap, normalised, warped
from ssat.detection.network import CenterNetwork, load_network
from ssat.detection.prior import prior_heatmap
from ssat.detection.settings import RefinementSettings

_SMALL = (192, 128)


@pytest.fixture(scope="module")
def network(state_dict: dict[str, torch.Tensor]) -> CenterNetwork:
    """The reference's network, but that its boxes have an extent: others are no detections."""
    return load_network({**state_dict, "ltrb_amodal.2.bias": torch.tensor([-2.0, -4.0, 2.0, 4.0])})


@pytest.fixture
def frames() -> list[np.ndarray]:
    rng = np.random.default_rng(0)
    coarse = rng.integers(0, 255, (3, 9, 16, 3), dtype=np.uint8)
    return [np.kron(one, np.ones((20, 20, 1), np.uint8)) for one in coarse]


@pytest.fixture
def refiner(network: CenterNetwork, monkeypatch: pytest.MonkeyPatch) -> CenterTrackDetector:
    # A smaller input than the published one: the same code on a twentieth of the pixels.
    monkeypatch.setattr("ssat.detection.centertrack_detector.INPUT_SIZE", _SMALL)
    return CenterTrackDetector(network, "digest", RefinementSettings(threshold=0.51))


def _by_definition(
    network: CenterNetwork, image: np.ndarray, previous: np.ndarray, tracks: np.ndarray | None
) -> Detections:
    to_input = InputMap.of(320, 180, "letterbox", _SMALL)
    now, before = (normalised(torch.from_numpy(warped(one, to_input, _SMALL))[None]) for one in (image, previous))
    prior = None
    if tracks is not None:
        prior = torch.from_numpy(prior_heatmap(to_input.to_input(tracks), *_SMALL))[None, None]
    with torch.inference_mode():
        return decode(network, network.features(now, before, prior), [to_input], 0.51)[0]


def _same(one: Detections, other: Detections) -> None:
    assert len(one) == len(other) > 0
    order, other_order = (np.lexsort(d.centres.T) for d in (one, other))
    for field in ("boxes", "scores", "offsets"):
        np.testing.assert_allclose(getattr(one, field)[order], getattr(other, field)[other_order], atol=0.05)


def test_frozen_batches_see_each_frame_with_the_one_before(
    refiner: CenterTrackDetector, network: CenterNetwork, frames: list[np.ndarray]
) -> None:
    found = refiner(frames)
    for index, one in enumerate(found):
        _same(one, _by_definition(network, frames[index], frames[max(0, index - 1)], None))
    _same(refiner(frames[1:2], frames[0])[0], found[1])


def test_in_the_loop_the_tracks_are_drawn_into_the_prior_heatmap(
    refiner: CenterTrackDetector, network: CenterNetwork, frames: list[np.ndarray]
) -> None:
    tracks = np.array([[40.0, 20.0, 90.0, 160.0], [200.0, 50.0, 240.0, 150.0]])
    refiner.in_the_loop(frames[0], None, np.empty((0, 4)))
    seen = refiner.in_the_loop(frames[1], frames[0], tracks)
    _same(seen, _by_definition(network, frames[1], frames[0], tracks))
    without = _by_definition(network, frames[1], frames[0], None)
    assert len(seen) != len(without) or not np.allclose(seen.scores, without.scores, atol=1e-3)


def test_bfloat16_sees_nearly_the_same(
    network: CenterNetwork, refiner: CenterTrackDetector, frames: list[np.ndarray]
) -> None:
    half = CenterTrackDetector(network, "digest", RefinementSettings(threshold=0.3, precision="bfloat16"))
    assert {parameter.dtype for parameter in half._network.parameters()} == {torch.bfloat16}
    assert len(half(frames[:1])[0]) > 0
    inputs, _ = refiner._inputs(frames[:1])
    with torch.inference_mode():
        exact, coarse = (
            one._network.features(one._cast(inputs), one._cast(inputs), None).float().flatten()
            for one in (refiner, half)
        )
    # Weights drawn at random pass rounding on more than trained ones do; a wrong cast would leave nothing alike.
    assert torch.nn.functional.cosine_similarity(exact, coarse, dim=0) > 0.85


def test_the_key_names_what_changes_detections(network: CenterNetwork) -> None:
    def key(digest: str = "d", **chosen: object) -> str:
        refiner = CenterTrackDetector.__new__(CenterTrackDetector)
        refiner.settings, refiner.digest = RefinementSettings(**chosen), digest  # type: ignore[arg-type]
        refiner.precision = torch.float32
        return refiner.key

    assert key() == key(batch=9) == key(prior_threshold=0.1) == key(births="free")
    assert len({key(), key("e"), key(threshold=0.3), key(input="published")}) == 4
