"""The detection refinement of the paper (CenterTrack's DLA-34 network) and detectors off the shelf."""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from ssat.detection.network import load_network

__all__ = ["load_network"]


def __getattr__(name: str) -> Any:
    # torch takes seconds to import: settings of this package must stay cheap to load.
    if name == "load_network":
        from ssat.detection.network import load_network

        return load_network
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
