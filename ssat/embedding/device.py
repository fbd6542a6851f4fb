"""Choose device and arithmetic of a network from the settings and the machine."""

from __future__ import annotations

import torch

from ssat.embedding.settings import Device, Precision
from ssat.errors import InputError


def usable_device(wanted: Device, asked_by: str) -> torch.device:
    """`auto` is a GPU where one is usable.

    Raises:
        InputError: a GPU is asked for and none is usable; the message begins with `asked_by`.
    """
    if wanted == "cuda" and not torch.cuda.is_available():
        raise InputError(f"{asked_by}: cuda asked for, but no GPU is usable; use auto or cpu")
    return torch.device("cuda" if wanted != "cpu" and torch.cuda.is_available() else "cpu")


def dtype_of(precision: Precision, device: torch.device) -> torch.dtype:
    """float32 or bfloat16; `auto` takes bfloat16 where the processor multiplies it natively."""
    if precision != "auto":
        return {"float32": torch.float32, "bfloat16": torch.bfloat16}[precision]
    if device.type == "cuda":
        native = torch.cuda.get_device_capability(device)[0] >= 8
    else:
        capabilities = torch.cpu.get_capabilities()
        native = bool(capabilities.get("amx_bf16") or capabilities.get("avx512_bf16"))
    return torch.bfloat16 if native else torch.float32
