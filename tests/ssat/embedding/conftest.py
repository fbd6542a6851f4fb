"""The small generated store of the frame store's tests serves here too."""

from tests.ssat.frames.conftest import small_clips, small_instances, small_store

__all__ = ["small_clips", "small_instances", "small_store"]
