import subprocess
import sys
from pathlib import Path

import pytest

from ssat.embedding.colour import ColourEmbedder
from ssat.embedding.combined import CombinedEmbedder
from ssat.embedding.embedder import Embedder
from ssat.embedding.histogram import HistogramNetwork
from ssat.embedding.identity import combined_identity, stored_identity
from ssat.errors import InputError


def test_a_file_has_the_digest_size_and_facts_of_the_embedder_in_it(tmp_path: Path) -> None:
    network = Embedder.untrained("resnet18", input_size=48)
    network.facts["data_digest"] = "abc"
    for embedder in (network, Embedder(HistogramNetwork(), 64)):
        embedder.save(tmp_path / "embedder.safetensors")
        identity = stored_identity(tmp_path / "embedder.safetensors")
        assert identity.digest == embedder.digest == Embedder.load(tmp_path / "embedder.safetensors").digest
        assert identity.input_size == embedder.input_size
        assert identity.facts == embedder.facts


def test_other_weights_have_another_digest(tmp_path: Path) -> None:
    digests = set()
    for seed in (0, 1):
        Embedder.untrained("resnet18", input_size=32, seed=seed).save(tmp_path / "embedder.safetensors")
        digests.add(stored_identity(tmp_path / "embedder.safetensors").digest)
    assert len(digests) == 2


def test_several_files_have_the_digest_of_their_combination(tmp_path: Path) -> None:
    network, colour = Embedder.untrained("resnet18", input_size=48), ColourEmbedder()
    network.save(tmp_path / "embedder.safetensors")
    combined = CombinedEmbedder([colour, network], [0.3, 0.7])
    identity = combined_identity([colour, stored_identity(tmp_path / "embedder.safetensors")], [0.3, 0.7])
    assert (identity.digest, identity.input_size) == (combined.digest, (64, 64))
    assert identity.digest != combined_identity([colour, network], [0.7, 0.3]).digest


def test_torch_is_not_needed(tmp_path: Path) -> None:
    Embedder.untrained("resnet18", input_size=32).save(tmp_path / "embedder.safetensors")
    code = (
        "import sys; from pathlib import Path; from ssat.embedding.identity import stored_identity; "
        "print(stored_identity(Path(sys.argv[1])).digest, 'torch' in sys.modules)"
    )
    told = subprocess.run(
        [sys.executable, "-c", code, str(tmp_path / "embedder.safetensors")], capture_output=True, text=True, check=True
    )
    assert told.stdout.split() == [stored_identity(tmp_path / "embedder.safetensors").digest, "False"]


def test_a_file_that_is_no_embedder_is_named(tmp_path: Path) -> None:
    (tmp_path / "other.safetensors").write_bytes(b"no safetensors")
    for name in ("other.safetensors", "missing.safetensors"):
        with pytest.raises(InputError, match=rf"{name}: not a readable safetensors file"):
            stored_identity(tmp_path / name)
