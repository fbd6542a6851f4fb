"""State of a training between two epochs: written whole, read without unpickling code."""

from __future__ import annotations

import pickle
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch

from ssat.errors import InputError
from ssat.workspace import committed

VERSION = 1


def save_checkpoint(path: Path, state: Mapping[str, Any]) -> None:
    """Writes `state` (tensors, numbers, texts, lists and dicts of them); the one before survives a failure."""
    with committed(path) as temporary:
        torch.save({"version": VERSION, **state}, temporary)


def load_checkpoint(path: Path, *, data_digest: str, settings: Mapping[str, Any]) -> dict[str, Any]:
    """The state that `save_checkpoint` wrote for the same data and settings.

    Raises:
        InputError: damaged, written by another version, or made from other data or settings.
    """
    try:
        # weights_only: a checkpoint may come from anywhere, and a pickle may hold code.
        state: dict[str, Any] = torch.load(path, map_location="cpu", weights_only=True)
    except (OSError, RuntimeError, EOFError, ValueError, pickle.UnpicklingError) as error:
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise InputError(f"{path}: not a readable checkpoint ({reason}); delete it to train from the start") from error
    if not isinstance(state, dict) or state.get("version") != VERSION:
        raise InputError(f"{path}: not a checkpoint of version {VERSION}; delete it to train from the start")
    if state["data_digest"] != data_digest:
        raise InputError(
            f"{path}: made from frame store {state['data_digest'][:12]}, this one is {data_digest[:12]}; "
            "go on with the store it was made from, or delete the checkpoint"
        )
    differing = sorted(name for name in settings if state["settings"].get(name) != settings[name])
    if differing:
        raise InputError(
            f"{path}: made with other settings ({', '.join(differing)}); delete it to train from the start"
        )
    return state
