"""The appearance network: CosFace pretext training and the 512-d embedder that comes out of it."""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from ssat.embedding.embedder import Embedder
    from ssat.embedding.named import load_embedder

__all__ = ["Embedder", "load_embedder"]


def __getattr__(name: str) -> Any:
    # torch takes seconds to import: settings of this package must stay cheap to load.
    if name == "Embedder":
        from ssat.embedding.embedder import Embedder

        return Embedder
    if name == "load_embedder":
        from ssat.embedding.named import load_embedder

        return load_embedder
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
