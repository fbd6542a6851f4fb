"""The identity of an embedder in cache keys, read from its file without loading the network or torch."""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal, get_args

import safetensors

from ssat.embedding.protocol import Identified, patch_shape
from ssat.embedding.settings import Architecture
from ssat.errors import InputError

FORMAT = "ssat-embedder-1"
HISTOGRAM: Literal["histogram"] = "histogram"
ARCHITECTURES = (*get_args(Architecture), HISTOGRAM)


@dataclass(frozen=True)
class EmbedderIdentity:
    """An embedder's name in cache keys.

    Attributes:
        digest: that of the embedder itself, in float32.
        input_size: side of square patches, or (height, width), pixels.
        facts: what its file says about its training.
    """

    digest: str
    input_size: int | tuple[int, int]
    facts: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class EmbedderHeader:
    """The metadata of a safetensors file that `Embedder.save` wrote."""

    architecture: str
    input_size: int
    facts: dict[str, Any]


def read_header(path: Path) -> EmbedderHeader:
    """Return the checked metadata of an embedder's file.

    Raises:
        InputError: no such file, no safetensors, another format or network, or damaged metadata.
    """
    try:
        with safetensors.safe_open(path, framework="numpy") as file:
            metadata = file.metadata() or {}
    except (OSError, safetensors.SafetensorError) as error:
        raise InputError(
            f"{path}: not a readable safetensors file ({error}); expected an embedder that `ssat train` wrote"
        ) from error
    if metadata.get("format") != FORMAT:
        raise InputError(
            f"{path}: format {metadata.get('format')!r}, expected {FORMAT!r}: not an embedder of this program"
        )
    architecture = metadata.get("architecture", "")
    if architecture not in ARCHITECTURES:
        raise InputError(f"{path}: unknown architecture {architecture!r}; known: {', '.join(ARCHITECTURES)}")
    try:
        input_size, facts = int(metadata["input_size"]), json.loads(metadata.get("facts", "{}"))
    except (KeyError, ValueError) as error:
        raise InputError(f"{path}: damaged metadata ({error})") from error
    if not 32 <= input_size <= 1024:
        raise InputError(f"{path}: input_size {input_size} is outside 32 … 1024 pixels")
    return EmbedderHeader(architecture, input_size, facts)


def weights_digest(
    architecture: str, input_size: int, tensors: Iterable[tuple[str, bytes]], arithmetic: str = ""
) -> str:
    """Return the SHA-256 over architecture, input size, arithmetic and weights.

    Args:
        architecture: of the network.
        input_size: side of its patches, pixels.
        tensors: name and content of each tensor, in order of the names.
        arithmetic: of the network, where it is not float32.
    """
    digest = hashlib.sha256(f"{FORMAT} {architecture} {input_size}{arithmetic}".encode())
    for name, content in tensors:
        digest.update(name.encode())
        digest.update(content)
    return digest.hexdigest()


def stored_identity(path: Path) -> EmbedderIdentity:
    """Return the identity of the embedder in a safetensors file, as it is in float32.

    Raises:
        InputError: as `read_header`.
    """
    header = read_header(path)
    with safetensors.safe_open(path, framework="numpy") as file:
        tensors = ((name, file.get_tensor(name).tobytes()) for name in sorted(file.keys()))
        digest = weights_digest(header.architecture, header.input_size, tensors)
    return EmbedderIdentity(digest, header.input_size, header.facts)


def combined_identity(parts: Sequence[Identified], weights: Sequence[float]) -> EmbedderIdentity:
    """Return the identity of embedders that are used as one (see `CombinedEmbedder`).

    Args:
        parts: at least one.
        weights: one per part, positive.

    Raises:
        InputError: no part, or weights that do not fit.
    """
    if not parts or len(weights) != len(parts) or not all(math.isfinite(w) and w > 0 for w in weights):
        raise InputError(
            f"{len(parts)} embedders with the weights {list(weights)}; expected at least one "
            "embedder and a positive weight for each"
        )
    shapes = [patch_shape(part) for part in parts]
    size = (max(height for height, _ in shapes), max(width for _, width in shapes))
    shares = [weight / sum(weights) for weight in weights]
    named = " ".join(f"{part.digest} {share:.9f}" for part, share in zip(parts, shares, strict=True))
    return EmbedderIdentity(hashlib.sha256(f"combined-1 {size} {named}".encode()).hexdigest(), size)
