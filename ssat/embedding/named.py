"""Embedders by name: a file, a baseline that needs no training of ours, or several of them with weights."""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from ssat.embedding.protocol import PatchEmbedder
from ssat.embedding.reid_input import ReidInput
from ssat.embedding.settings import Device, Precision
from ssat.errors import InputError

COLOUR, IMAGENET = "colour", "imagenet"
BASELINES = (COLOUR, IMAGENET)
_WEIGHTED = re.compile(r"(?P<weight>[0-9.eE-]+)\*(?P<name>.+)")


@dataclass(frozen=True)
class EmbedderPart:
    """One embedder of a sum.

    Attributes:
        name: a baseline, a file or what the layers above understand.
        weight: its share of the cosine, relative to the others'.
    """

    name: str
    weight: float = 1.0


def embedder_parts(spec: str) -> tuple[EmbedderPart, ...]:
    """Return the embedders that `spec` names: `NAME`, or `NAME+NAME`, each with a weight before it (`0.3*colour`).

    A file whose name holds a plus is taken as a file.

    Raises:
        InputError: an empty part, or a weight that is not a positive number.
    """
    if Path(spec).expanduser().exists():
        return (EmbedderPart(spec),)
    parts = []
    for text in spec.split("+"):
        found = _WEIGHTED.fullmatch(text.strip())
        name, weight = (found["name"].strip(), _number(found["weight"])) if found else (text.strip(), 1.0)
        if not name or not (math.isfinite(weight) and weight > 0):
            raise InputError(
                f"embedder {spec!r}: cannot read {text!r}; expected NAME, or NAME+NAME with positive weights such as "
                "0.3*colour+0.7*embedder.safetensors"
            )
        parts.append(EmbedderPart(name, weight))
    return tuple(parts)


def load_embedder(
    spec: str, *, reid: ReidInput | None = None, device: Device = "auto", precision: Precision = "float32"
) -> PatchEmbedder:
    """Return the embedder that `spec` names, as `embedder_parts` reads it.

    Args:
        spec: of `colour` (a histogram, see `ColourEmbedder`), `imagenet` (see `ImagenetEmbedder`), files and runs as
            `Embedder.load` takes them, and ONNX files of any re-identification network (see `ReidOnnxEmbedder`).
        reid: input of such a network, if its file does not state it.
        device, precision: of networks; see `Embedder`.

    Raises:
        InputError: an unknown name, or a file that is no embedder.
    """
    return assembled(embedder_parts(spec), lambda name: load_part(name, reid, device, precision))


def assembled(parts: Sequence[EmbedderPart], load: Callable[[str], PatchEmbedder]) -> PatchEmbedder:
    """Return the embedder of one part, or the weighted combination of several, each found by `load`."""
    if len(parts) == 1:
        return load(parts[0].name)
    from ssat.embedding.combined import CombinedEmbedder

    return CombinedEmbedder([load(part.name) for part in parts], [part.weight for part in parts])


def load_part(
    name: str, reid: ReidInput | None = None, device: Device = "auto", precision: Precision = "float32"
) -> PatchEmbedder:
    """Return one embedder; the arguments are those of `load_embedder`."""
    if name == COLOUR:
        from ssat.embedding.colour import ColourEmbedder

        return ColourEmbedder()
    if name == IMAGENET:
        from ssat.embedding.imagenet import ImagenetEmbedder

        return ImagenetEmbedder(device)
    path = Path(name).expanduser()
    if path.suffix == ".onnx":
        from ssat.embedding.reid_onnx import ReidOnnxEmbedder, is_foreign

        if is_foreign(path):
            return ReidOnnxEmbedder(path, reid, device=device)
    from ssat.embedding.embedder import Embedder

    return Embedder.load(name, device=device, precision=precision)


def _number(text: str) -> float:
    try:
        return float(text)
    except ValueError:
        return math.nan
