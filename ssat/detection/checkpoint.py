"""The published checkpoint: find it, and read it without executing anything in it."""

from __future__ import annotations

import os
import pickle
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ssat.errors import InputError
from ssat.workspace import sha256_of

CHECKPOINT_NAME = "mot17_half.pth"
_VARIABLE = "SSAT_CENTERTRACK"
WHERE = (
    "CenterTrack's authors publish it: github.com/xingyizhou/CenterTrack, readme/MODEL_ZOO.md, "
    f"mot17_half for the validation half, mot17_fulltrain for the test set; put the file at "
    f"models/{CHECKPOINT_NAME} in the workspace, or name it with setting `refinement.checkpoint` or {_VARIABLE}"
)


def checkpoint_path(named: str | None, workspace: Path) -> Path:
    """Return the checkpoint of the setting, of the variable SSAT_CENTERTRACK, or the path in the workspace."""
    chosen = named or os.environ.get(_VARIABLE)
    return Path(chosen).expanduser() if chosen else workspace / "models" / CHECKPOINT_NAME


def refuse_missing(path: Path) -> None:
    """Raise InputError if the checkpoint is missing; it says where it is published."""
    if not path.is_file():
        raise InputError(f"{path}: no checkpoint for the refinement. {WHERE}")


def read_checkpoint(path: Path) -> tuple[Mapping[str, Any], str]:
    """Return the state dict of a checkpoint file (.pth or .safetensors) and the file's SHA-256.

    Raises:
        InputError: no such file (says where it is published), or nothing that holds tensors alone.
    """
    import torch

    refuse_missing(path)
    try:
        if path.suffix == ".safetensors":
            from safetensors.torch import load_file

            return load_file(path), sha256_of(path)
        # weights_only: a checkpoint is untrusted, and a pickle may hold code.
        content = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # a damaged file fails in as many ways as there are formats
        unsafe = isinstance(error, pickle.UnpicklingError) and "weights_only" in str(error).lower()
        reason = "it holds more than tensors, which is not read" if unsafe else _first_line(error)
        raise InputError(f"{path}: not a checkpoint that can be read ({reason}). {WHERE}") from error
    state = content.get("state_dict", content) if isinstance(content, dict) else None
    if not isinstance(state, dict):
        raise InputError(f"{path}: holds a {type(content).__name__}, expected a dict with state_dict. {WHERE}")
    return state, sha256_of(path)


def _first_line(error: Exception) -> str:
    return str(error).splitlines()[0][:200] if str(error) else type(error).__name__
