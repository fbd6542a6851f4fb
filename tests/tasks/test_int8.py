"""The embedder of `ssat track` in 8-bit integers."""

from pathlib import Path

import pytest

from ssat.embedding.colour import ColourEmbedder
from ssat.embedding.embedder import Embedder
from ssat.embedding.onnx_embedder import OnnxEmbedder
from ssat.errors import InputError
from ssat.pipeline.settings import TrackSettings
from ssat.workspace import Workspace
from tasks.embedders import patches_to_try
from tasks.int8 import track_embedder

pytest.importorskip("onnxruntime")


def test_int8_agrees_and_is_made_once(tmp_path: Path) -> None:
    workspace = Workspace.open(tmp_path)
    network = Embedder.untrained("resnet18", 32, device="cpu")
    network.save(tmp_path / "embedder.safetensors")
    spec, settings = str(tmp_path / "embedder.safetensors"), TrackSettings(precision="int8")
    found = track_embedder(spec, workspace, settings)
    assert isinstance(found, OnnxEmbedder)
    patches, _ = patches_to_try(workspace, 32)
    assert ((found(patches) * network(patches)).sum(axis=1) >= 0.99).all()
    made = found.path.stat().st_mtime_ns
    again = track_embedder(spec, workspace, settings)
    assert again.digest == found.digest
    assert found.path.stat().st_mtime_ns == made


def test_float32_stays_what_it_is_and_colours_need_no_int8(tmp_path: Path) -> None:
    workspace = Workspace.open(tmp_path)
    network = track_embedder("untrained", workspace, TrackSettings())
    assert isinstance(network, Embedder)
    assert not isinstance(network, OnnxEmbedder)
    assert isinstance(track_embedder("colour", workspace, TrackSettings(precision="auto")), ColourEmbedder)
    with pytest.raises(InputError, match="precision int8 needs the torch network"):
        track_embedder("colour", workspace, TrackSettings(precision="int8"))


@pytest.mark.parametrize("preset", ["paper", "quick", "strong"])
def test_presets_embed_every_patch_in_float32(preset: str) -> None:
    settings = TrackSettings.build(preset, {})
    assert (settings.embed_every, settings.precision) == (1, "float32")


def test_taking_over_features_is_beyond_the_paper() -> None:
    settings = TrackSettings(embed_every=4)
    assert settings.extensions == ["patches embedded every 4 frames where no other person is near"]
    assert TrackSettings(embed_every=4, tracker="box").extensions == []
