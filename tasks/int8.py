"""The embedder of `ssat track`, in 8-bit integers where that is asked for."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ssat.embedding.protocol import PatchEmbedder
from ssat.errors import InputError
from ssat.pipeline.settings import TrackSettings
from ssat.workspace import Workspace
from tasks.embedders import patches_to_try, resolve_embedder

if TYPE_CHECKING:
    from ssat.embedding.embedder import Embedder

_FOLDER = "int8"


def track_embedder(spec: str | None, workspace: Workspace, settings: TrackSettings) -> PatchEmbedder:
    """Return the embedder that `spec` names, in the arithmetic of setting `precision`.

    The int8 graph is made once and kept in the workspace's cache. It is calibrated on crops of the workspace's clips,
    and kept only if the cosine of every feature to that of float32 is at least 0.99 there.

    Raises:
        InputError: as `resolve_embedder`, or int8 cannot be had.
    """
    if settings.precision != "int8":
        return resolve_embedder(spec, workspace, reid=settings.reid, precision=settings.precision)
    found = resolve_embedder(spec, workspace, reid=settings.reid)
    from ssat.embedding.embedder import Embedder
    from ssat.embedding.onnx_embedder import OnnxEmbedder

    if not isinstance(found, Embedder) or isinstance(found, OnnxEmbedder):
        raise InputError(
            f"embedder {spec or 'of the latest training'}: precision int8 needs the torch network; expected a training "
            "of ssat. Use precision float32"
        )
    return _int8(found, workspace)


def _int8(embedder: Embedder, workspace: Workspace) -> PatchEmbedder:
    from ssat.embedding.export import FILES, export_embedder
    from ssat.embedding.identity import HISTOGRAM
    from ssat.embedding.onnx_embedder import OnnxEmbedder

    if embedder.device.type != "cpu" or embedder.network.architecture == HISTOGRAM:
        where = embedder.device.type if embedder.device.type != "cpu" else embedder.network.architecture
        raise InputError(f"precision int8: {where} is not supported; expected a ResNet on a CPU. Use precision float32")
    folder = workspace.cache / _FOLDER / embedder.digest
    graph = folder / FILES["onnx-int8"]
    if not graph.is_file():
        patches, _ = patches_to_try(workspace, embedder.input_size)
        export_embedder(embedder, "onnx-int8", folder, patches)
    return OnnxEmbedder(graph, device="cpu")
