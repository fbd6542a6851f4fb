"""Embedders by name: register one after training, find one for a benchmark."""

from __future__ import annotations

import json
import re
from contextlib import nullcontext, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from ssat.embedding.identity import HISTOGRAM, combined_identity, stored_identity
from ssat.embedding.named import BASELINES, COLOUR, assembled, embedder_parts, load_part
from ssat.embedding.protocol import Identified, PatchEmbedder
from ssat.embedding.reid_input import ReidInput
from ssat.embedding.settings import Device, Precision
from ssat.errors import InputError
from ssat.file_names import EMBEDDER_FILE, MANIFEST, TRAINING_RESULT
from ssat.workspace import Workspace

if TYPE_CHECKING:
    from ssat.embedding.embedder import Embedder

MODEL_NAME = "ssat-embedder"
UNTRAINED = "untrained"
_RUN = re.compile(r"models:/.+|[0-9a-f]{32}")
ADAPTED = "adapted-"  # how folders of adaptations begin
_CLIPS_TO_TRY = 48


def register_embedder(run_id: str, embedder_file: Path, example: np.ndarray, facts: dict[str, Any]) -> str:
    """Log the embedder into the MLflow run and register it; return the version of the registered model.

    Args:
        run_id: the training's run.
        embedder_file: what `Embedder.save` wrote.
        example: patches (B, S, S, 3), uint8, stored as the input example and used for the signature.
        facts: scores and digests kept as tags of the version.
    """
    import mlflow
    from mlflow.exceptions import MlflowException
    from mlflow.models import infer_signature

    from ssat.embedding.embedder import Embedder

    tags = {name: str(value) for name, value in facts.items()}
    features = Embedder.load(embedder_file)(example)
    active = mlflow.active_run()
    # Within the training's own run MLflow refuses to start it a second time.
    inside = active is not None and active.info.run_id == run_id
    with nullcontext() if inside else mlflow.start_run(run_id=run_id):
        info = mlflow.pyfunc.log_model(
            name="embedder",
            python_model=str(Path(__file__).with_name("embedder_model.py")),
            artifacts={"embedder": str(embedder_file)},
            signature=infer_signature(example, features),
            input_example=example,
            # Named, not inferred: inferring starts a process that loads the model, which takes half a minute.
            pip_requirements=["torch", "torchvision", "safetensors", "numpy"],
            tags=tags,
        )
    # In two steps, because `registered_model_name` announces the version on standard error.
    client = mlflow.MlflowClient()
    if not client.search_registered_models(f"name = '{MODEL_NAME}'"):
        # Another training may create it in the same moment.
        with suppress(MlflowException):
            client.create_registered_model(MODEL_NAME)
    made = client.create_model_version(MODEL_NAME, info.model_uri, run_id, tags=tags, model_id=info.model_id)
    return str(made.version)


def resolve_embedder(
    spec: str | None,
    workspace: Workspace,
    *,
    reid: ReidInput | None = None,
    device: Device = "auto",
    precision: Precision = "float32",
) -> PatchEmbedder:
    """Return the embedder that `spec` names.

    Args:
        spec: a file (safetensors, ONNX), the folder of a training, an MLflow run id, `models:/NAME/VERSION` or
            `models:/NAME@ALIAS`, `colour`, `imagenet`, `untrained`, several of them with weights
            (`0.3*colour+0.7*RUN`), or None for the workspace's latest finished training.
        workspace: where a latest training is looked for.
        reid: input of a foreign ONNX network.
        device: where it runs; see `Embedder`.
        precision: its arithmetic; see `Embedder`.

    Raises:
        InputError: nothing of that name, not an embedder, or a GPU asked for where none is usable.
    """
    from ssat.embedding.embedder import Embedder

    if spec is None:
        return Embedder.load(_latest_training(workspace) / EMBEDDER_FILE, device=device, precision=precision)

    def load(name: str) -> PatchEmbedder:
        if name == UNTRAINED:
            return _untrained(workspace, device, precision)
        if name in BASELINES or Path(name).expanduser().exists():
            return load_part(name, reid, device, precision)
        if is_run(name):
            return Embedder.load(download_embedder(name), device=device, precision=precision)
        raise _unknown_embedder(name)

    return assembled(embedder_parts(spec), load)


def _untrained(workspace: Workspace, device: Device, precision: Precision) -> Embedder:
    from ssat.embedding.embedder import Embedder

    architecture, input_size = "resnet18", 112
    for folder in _finished_trainings(workspace):
        # The fair floor: the network that was trained last, before training.
        settings = json.loads((folder / TRAINING_RESULT).read_text())["settings"]
        if settings["architecture"] != HISTOGRAM:  # which has no weights to draw
            architecture, input_size = settings["architecture"], settings["crop"]
    return Embedder.untrained(architecture, input_size, device=device, precision=precision)  # type: ignore[arg-type]


def identify_embedder(spec: str | None, workspace: Workspace, *, reid: ReidInput | None = None) -> Identified:
    """Return the identity of the embedder that `resolve_embedder` would give, without its network where files tell it.

    Raises:
        InputError: as `resolve_embedder`.
    """
    if spec is None:
        return stored_identity(_latest_training(workspace) / EMBEDDER_FILE)

    def identify(name: str) -> Identified:
        path = Path(name).expanduser()
        path = path / EMBEDDER_FILE if path.is_dir() else path
        if name == UNTRAINED:
            return _untrained(workspace, "auto", "float32")
        if name in BASELINES or path.suffix == ".onnx":
            return load_part(name, reid)
        if path.exists():
            return stored_identity(path)
        if is_run(name):
            return stored_identity(download_embedder(name))
        raise _unknown_embedder(name)

    parts = embedder_parts(spec)
    identities = [identify(part.name) for part in parts]
    return identities[0] if len(parts) == 1 else combined_identity(identities, [part.weight for part in parts])


def check_embedder(spec: str | None, workspace: Workspace) -> None:
    """Check that `resolve_embedder` can find what `spec` names, as far as no network is loaded and no server asked.

    Raises:
        InputError: a file that is missing, a name that is unknown, or no finished training for None.
    """
    if spec is None:
        _latest_training(workspace)
        return
    for part in embedder_parts(spec):
        known = part.name in (*BASELINES, UNTRAINED) or _RUN.fullmatch(part.name)
        if not known and not Path(part.name).expanduser().exists():
            raise _unknown_embedder(part.name)


def _unknown_embedder(name: str) -> InputError:
    return InputError(
        f"embedder {name!r}: neither a file, nor an MLflow run id, nor models:/NAME/VERSION, nor one of "
        f"{', '.join((*BASELINES, UNTRAINED))}"
    )


def track_default(workspace: Workspace) -> str | None:
    """Return the embedder of `ssat track` where none is named: None, the latest training, or `colour` without one."""
    return None if _finished_trainings(workspace) else COLOUR


def latest_of_its_own(workspace: Workspace) -> str | None:
    """Return the folder of the latest training that is no adaptation of another, or None without one."""
    trained = [folder for folder in _finished_trainings(workspace) if not folder.name.startswith(ADAPTED)]
    return str(trained[-1]) if trained else None


def embedder_files(spec: str | None, workspace: Workspace) -> list[Path]:
    """Return the local files that `resolve_embedder` will read; none for a run or an untrained network."""
    if spec is None:
        trained = _finished_trainings(workspace)
        return [trained[-1] / EMBEDDER_FILE] if trained else []
    paths = [Path(part.name).expanduser() for part in embedder_parts(spec)]
    return [path / EMBEDDER_FILE if path.is_dir() else path for path in paths if path.exists()]


def patches_to_try(workspace: Workspace, size: int) -> tuple[np.ndarray, str]:
    """Return a few patches (B, size, size, 3) to compare two forms of an embedder on, and what they are.

    Frames of the workspace's clips where it has a frame store, else figures of the demo's world.
    """
    if (workspace.frames / MANIFEST).is_file():
        from ssat.frames.crops import read_crops
        from ssat.frames.store import FrameStore

        store = FrameStore.open(workspace.frames)
        crops, _, _ = read_crops(store, store.class_ids[:_CLIPS_TO_TRY].tolist(), 2, size, size)
        return crops, f"crops of {workspace.frames}"
    import cv2

    from ssat.demo.sequences import render_sequence

    frames = [frame.image for frame in render_sequence(seed=0, sequence=0, frames=8, figures=4)]
    return np.stack([cv2.resize(image, (size, size)) for image in frames]), "rendered frames"


def is_run(spec: str | None) -> bool:
    """Return whether `spec` or a part of it names a run or registered model, which needs a tracking server."""
    return spec is not None and any(_RUN.fullmatch(part.name) for part in embedder_parts(spec))


def download_embedder(run: str) -> Path:
    """Return the safetensors file of an MLflow run id or registered model, from the server that MLflow is set to.

    Registered as an entry point, so that `ssat.embedding.Embedder.load` takes runs.

    Raises:
        InputError: no such run or model, or it holds no embedder.
    """
    import mlflow
    from mlflow.exceptions import MlflowException

    uri = run if run.startswith("models:/") else f"runs:/{run}/embedder"
    try:
        folder = Path(mlflow.artifacts.download_artifacts(artifact_uri=uri))
    except (MlflowException, OSError) as error:
        raise InputError(f"embedder {uri}: not available at {mlflow.get_tracking_uri()}: {error}") from error
    found = sorted(folder.rglob(EMBEDDER_FILE))
    if len(found) != 1:
        raise InputError(f"embedder {uri}: holds {len(found)} files named {EMBEDDER_FILE}, expected one")
    return found[0]


def _finished_trainings(workspace: Workspace) -> list[Path]:
    """Return folders of finished trainings, oldest first."""
    results = sorted(workspace.training.glob(f"*/{TRAINING_RESULT}"), key=lambda path: (path.stat().st_mtime_ns, path))
    return [path.parent for path in results]


def latest_of_kinds(workspace: Workspace) -> dict[str, Path]:
    """Return the embedder files of the latest learned colours and of the latest network, as far as there are any."""
    found = {}
    for folder in _finished_trainings(workspace):
        learned = json.loads((folder / TRAINING_RESULT).read_text())["settings"].get("architecture") == HISTOGRAM
        found["learned colours" if learned else "trained network"] = folder / EMBEDDER_FILE
    return found


def _latest_training(workspace: Workspace) -> Path:
    trained = _finished_trainings(workspace)
    if not trained:
        raise InputError(
            f"workspace {workspace.root}: no finished training; run `ssat train` first, or name an embedder with "
            "--embedder RUN|FILE|colour"
        )
    return trained[-1]
