"""The built wheel in an environment of its own, outside the checkout: the library without the extra `pipeline`."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import tomllib
from pathlib import Path

import av
import pytest

from ssat.demo.settings import DemoSettings
from ssat.demo.world import write_sequences
from ssat.embedding.embedder import Embedder

pytestmark = [pytest.mark.integration, pytest.mark.timeout(900)]

_PROJECT = Path(__file__).resolve().parents[1]
_UV = Path(sys.executable).with_name("uv")
_MAX_DISTRIBUTIONS = 60
# Imported by name, with what only the extra `pipeline` brings.
_PIPELINE = ("prefect", "ray", "mlflow", "yt_dlp", "fastapi", "pg8000")
_EACH = """
import json, sys
from flows.cli import run

print("\\n" + json.dumps([run(words) for words in json.loads(sys.argv[1])]))
"""
_WORLD = DemoSettings(frames=20, figures=3)


def _run(*command: str | Path, cwd: Path, **options: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [str(word) for word in command], cwd=cwd, capture_output=True, text=True, timeout=600, env=_environment(options)
    )


def _environment(options: dict[str, str]) -> dict[str, str]:
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("PYTHON", "SSAT", "VIRTUAL"))}
    return kept | {"MPLBACKEND": "agg"} | options


@pytest.fixture(scope="module")
def clean(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with an environment `env` in which nothing but the wheel and its dependencies is installed."""
    if not _UV.is_file():
        pytest.skip("uv is not beside this Python; `make setup` installs it")
    folder = tmp_path_factory.mktemp("wheel")
    built = _run(sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", folder, cwd=_PROJECT)
    assert built.returncode == 0, built.stderr
    (wheel,) = folder.glob("*.whl")
    lines = (_PROJECT / "requirements.lock").read_text().splitlines()
    pinned = [line.removesuffix(" \\") for line in lines if "==" in line and not line.startswith((" ", "#"))]
    (folder / "constraints.txt").write_text("\n".join(pinned))
    _run(_UV, "venv", "--python", sys.executable, folder / "env", cwd=folder)
    installed = _run(
        *(_UV, "pip", "install", "--python", folder / "env/bin/python", "--constraint", "constraints.txt", wheel),
        cwd=folder,
    )
    if installed.returncode and "error sending request" in installed.stderr.lower():
        pytest.skip("no package index can be reached, and uv's cache lacks a package")
    assert installed.returncode == 0, installed.stderr
    return folder


@pytest.fixture(scope="module")
def inputs(clean: Path) -> Path:
    write_sequences(clean / "mot", _WORLD)
    return clean / "mot"


def _ssat(clean: Path, *words: str | Path) -> subprocess.CompletedProcess[str]:
    return _run(clean / "env/bin/ssat", *words, cwd=clean)


def test_it_brings_at_most_sixty_distributions_beside_those_of_torch(clean: Path) -> None:
    listed = _run(_UV, "pip", "list", "--format", "json", "--python", clean / "env/bin/python", cwd=clean)
    names = {package["name"] for package in json.loads(listed.stdout)}
    assert {"ssat", "torch", "numpy"} <= names
    ours = {name for name in names if not name.startswith(("nvidia-", "cuda-", "triton"))}
    assert len(ours) <= _MAX_DISTRIBUTIONS, sorted(ours)
    extra = tomllib.loads((_PROJECT / "pyproject.toml").read_text())["project"]["optional-dependencies"]["pipeline"]
    of_pipeline = {line.split("=")[0].split("<")[0].split(">")[0].split("[")[0] for line in extra}
    assert len(of_pipeline) == len(extra)
    assert not names & of_pipeline
    script = f"import importlib.util as u; print([m for m in {_PIPELINE} if u.find_spec(m)])"
    assert _run(clean / "env/bin/python", "-c", script, cwd=clean).stdout.strip() == "[]"


def test_help_of_every_verb(clean: Path) -> None:
    script = (
        "import sys; from flows.cli import cli, verbs; from click.testing import CliRunner\n"
        "print([v for v in verbs() if CliRunner().invoke(cli, [v, '--help']).exit_code])"
    )
    assert _run(clean / "env/bin/python", "-c", script, cwd=clean).stdout.strip() == "[]"


def test_the_verbs_that_need_no_orchestration(clean: Path, inputs: Path) -> None:
    sequence = inputs / "DEMO-01"
    image = next((sequence / "img1").iterdir())
    commands: dict[str, list[str | Path]] = {
        "track": ["track", sequence, "--embedder", "colour", "--output", "tracks"],
        "evaluate": ["evaluate", "--gt", inputs, "--results", "tracks", "--sequences", "DEMO-01"],
        "export": ["export", "--run", "e.safetensors", "--format", "safetensors", "--output", "exported"],
        "embed": ["embed", image, "--embedder", "e.safetensors", "--output", "features.parquet"],
        "probe": ["probe", sequence, "--embedder", "colour"],
        "link": ["link", "tracks/DEMO-01.txt", sequence, "--embedder", "colour", "--max-distance", "0.1"],
        "plan": ["plan", "--clips", "160"],
        "demo": ["demo", "--tracking", "--frames", "20", "--figures", "3"],
    }
    Embedder.untrained("resnet18", input_size=32).save(clean / "e.safetensors")
    # In one process: most of a verb's time is the import of torch.
    texts = [[str(word) for word in words] for words in commands.values()]
    done = _run(clean / "env/bin/python", "-c", _EACH, json.dumps(texts), cwd=clean)
    codes = json.loads(done.stdout.splitlines()[-1])
    assert dict(zip(commands, codes, strict=True)) == dict.fromkeys(commands, 0), done.stderr
    with av.open(str(clean / "tracks" / "DEMO-01.mp4")) as video:
        pictures = [frame.to_ndarray(format="rgb24").shape for frame in video.decode(video=0)]
    assert pictures == [(360, 640, 3)] * 20
    assert (clean / "workspace/demo/tracking/box-term-alone/DEMO-02.txt").read_text()


@pytest.mark.parametrize(
    "words", [["train", "--clips", "3"], ["doctor"], ["compare", "a", "b"], ["demo"]], ids=" ".join
)
def test_a_verb_that_lacks_its_extra_says_which(words: list[str], clean: Path) -> None:
    done = _ssat(clean, *words, "--workspace", "lacking")
    assert done.returncode == 2, done.stderr
    said = rf"error: {words[0]}: package (prefect|mlflow|ray) is not installed; pip install 'ssat\[pipeline\]'"
    assert re.search(said, done.stderr), done.stderr
    assert "Traceback" not in done.stderr


def test_onnx_is_an_extra_of_its_own(clean: Path) -> None:
    Embedder.untrained("resnet18", input_size=32).save(clean / "o.safetensors")
    done = _ssat(clean, "export", "--run", "o.safetensors", "--format", "onnx", "--output", "as-onnx")
    assert done.returncode == 2
    assert "pip install 'ssat[onnx]'" in done.stderr
