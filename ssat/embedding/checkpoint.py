"""Checkpoints of a training in the middle of an epoch: written aside while it continues, whole or not at all.

A checkpoint is a folder: `network.safetensors` (the network, its momentum, its average), one
`head-RRRRR-of-WWWWW.safetensors` per rank that holds class weights, and `state.json`, written last. A folder without
`state.json` is none. Rows of a head are found whatever the number of ranks that wrote them.
"""

from __future__ import annotations

import json
import shutil
import threading
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import safetensors
import safetensors.torch
import torch
from torch import Tensor

from ssat.errors import InputError, SsatError, WorkspaceError
from ssat.workspace import committed

VERSION = 2
STATE_FILE = "state.json"
NETWORK_FILE = "network.safetensors"
_OTHERS_WITHIN_S = 600.0


class Checkpoints:
    """The checkpoints of one training, as one of its ranks sees them.

    Args:
        folder: where they lie; all ranks see the same files.
        rank: of this process; rank 0 writes the network and commits.
        shards: ranks that write class weights: all for a sharded head, 1 for a dense one.
        keep: how many are kept, the latest; beside them the one whose step the state calls `best_step`.
    """

    def __init__(self, folder: Path, rank: int = 0, shards: int = 1, keep: int = 2) -> None:
        self.folder = folder
        self._rank = rank
        self._shards = shards
        self._keep = keep
        self._thread: threading.Thread | None = None
        self._failure: Exception | None = None

    def save(
        self, state: Mapping[str, Any], network: Mapping[str, Tensor], head: Mapping[str, Tensor], first_row: int
    ) -> None:
        """Copy the tensors and start to write them; waits for the one before.

        Args:
            state: facts for `state.json`; `step` names the checkpoint.
            network: tensors that are the same on every rank; rank 0's are written.
            head: tensors (rows, …) of this rank's classes.
            first_row: class of the first row.

        Raises:
            WorkspaceError: the checkpoint before could not be written.
        """
        self.wait()
        target = self._of_step(state["step"])
        copied = {name: tensor.detach().to("cpu", copy=True).contiguous() for name, tensor in network.items()}
        rows = {name: tensor.detach().to("cpu", copy=True).contiguous() for name, tensor in head.items()}
        # On a CPU a concurrent thread slows a step no more than writing itself; on a GPU the step continues meanwhile.
        self._thread = threading.Thread(
            target=self._write, args=(target, dict(state), copied, rows, first_row), name="checkpoint"
        )
        self._thread.start()

    def wait(self) -> None:
        """Return when nothing is being written any more.

        Raises:
            WorkspaceError: the last checkpoint could not be written; the one before is still there.
        """
        if self._thread is not None:
            self._thread.join()
            self._thread = None
        if self._failure is not None:
            failure, self._failure = self._failure, None
            kept = latest_checkpoint(self.folder)
            raise WorkspaceError(
                f"{self.folder}: a checkpoint could not be written ({failure}); "
                f"{kept.name if kept else 'none'} is kept. Make room and start the same training again: it continues"
            ) from failure

    def _write(
        self,
        target: Path,
        state: dict[str, Any],
        network: dict[str, Tensor],
        head: dict[str, Tensor],
        first_row: int,
    ) -> None:
        try:
            target.mkdir(parents=True, exist_ok=True)
            if self._rank < self._shards:
                name = f"head-{self._rank:05d}-of-{self._shards:05d}.safetensors"
                _save(target / name, head, {"first_row": str(first_row)})
            if self._rank == 0:
                _save(target / NETWORK_FILE, network, {})
                self._await_others(target)
                with committed(target / STATE_FILE) as temporary:
                    temporary.write_text(json.dumps({"version": VERSION, "shards": self._shards, **state}))
                self._prune(target, state.get("best_step"))
        except (OSError, SsatError, safetensors.SafetensorError) as failure:
            if self._rank == 0 and not (target / STATE_FILE).exists():
                shutil.rmtree(target, ignore_errors=True)
            self._failure = failure

    def _await_others(self, target: Path) -> None:
        """Wait for the files of the other ranks, which are renamed into place when they are whole."""
        deadline = time.monotonic() + _OTHERS_WITHIN_S
        while len(list(target.glob("head-*.safetensors"))) < self._shards:
            if time.monotonic() > deadline:
                raise SsatError(f"not every rank wrote its class weights within {_OTHERS_WITHIN_S:.0f} s")
            time.sleep(0.05)

    def _prune(self, newest: Path, best_step: int | None) -> None:
        whole = sorted(path.parent for path in self.folder.glob(f"step-*/{STATE_FILE}"))
        kept = {newest, *whole[-self._keep :]}
        if best_step is not None:
            kept.add(self._of_step(best_step))
        for folder in self.folder.glob("step-*"):
            if folder not in kept:
                shutil.rmtree(folder, ignore_errors=True)

    def _of_step(self, step: int) -> Path:
        return self.folder / f"step-{step:010d}"


def latest_checkpoint(folder: Path) -> Path | None:
    """Return the newest whole checkpoint below `folder`."""
    return max((path.parent for path in folder.glob(f"step-*/{STATE_FILE}")), default=None)


def load_state(checkpoint: Path, *, data_digest: str | None = None, settings: Mapping[str, Any]) -> dict[str, Any]:
    """Return the facts of a checkpoint, if it was made for the same data and settings.

    Args:
        checkpoint: its folder.
        data_digest: of the frame store; None takes any (a warm start).
        settings: those that must agree.

    Raises:
        InputError: damaged, written by another version, or made from other data or settings; says which.
    """
    path = checkpoint / STATE_FILE
    try:
        state: dict[str, Any] = json.loads(path.read_text())
        version, digest, others = state["version"], state["data_digest"], state["settings"]
        shards, _, _ = int(state["shards"]), int(state["step"]), list(state["class_ranks"])
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise InputError(
            f"{path}: not a readable checkpoint ({error!r}); delete its folder to train without it"
        ) from error
    if version != VERSION:
        raise InputError(
            f"{path}: checkpoint version {version}, expected {VERSION}; delete its folder to train without it"
        )
    if data_digest is not None and digest != data_digest:
        raise InputError(
            f"{checkpoint}: made from frame store {digest[:12]}, this one is {data_digest[:12]}; "
            "continue with that store, name the folder as train.warm_start, or delete the checkpoint"
        )
    differing = sorted(name for name in settings if others.get(name) != settings[name])
    if differing:
        raise InputError(f"{checkpoint}: made with other settings ({', '.join(differing)}); delete it to start again")
    state["head_files"] = [f"head-{rank:05d}-of-{shards:05d}.safetensors" for rank in range(shards)]
    return state


def load_network(checkpoint: Path) -> dict[str, Tensor]:
    """Return the tensors that all ranks share.

    Raises:
        InputError: the file is missing or damaged.
    """
    try:
        return safetensors.torch.load_file(checkpoint / NETWORK_FILE)
    except (OSError, safetensors.SafetensorError) as error:
        raise _unreadable(checkpoint / NETWORK_FILE, error) from error


def load_head_rows(checkpoint: Path, files: list[str], rows: range) -> dict[str, Tensor]:
    """Return tensors of the classes `rows`, from whichever files hold them; fewer rows where the checkpoint has fewer.

    Raises:
        InputError: a file is missing or damaged.
    """
    found: dict[str, list[Tensor]] = {}
    for name in files:
        try:
            with safetensors.safe_open(checkpoint / name, framework="pt") as file:
                first = int((file.metadata() or {})["first_row"])
                for key in file.keys():  # noqa: SIM118 - not a dict: iteration is not supported
                    held = file.get_slice(key)
                    start, stop = max(rows.start - first, 0), min(rows.stop - first, held.get_shape()[0])
                    if start < stop:
                        found.setdefault(key, []).append(held[start:stop])
        except (OSError, KeyError, ValueError, safetensors.SafetensorError) as error:
            raise _unreadable(checkpoint / name, error) from error
    return {key: torch.cat(parts) for key, parts in found.items()}


def _unreadable(path: Path, error: Exception) -> InputError:
    return InputError(f"{path}: not readable ({error}); delete {path.parent} to train without this checkpoint")


def _save(path: Path, tensors: dict[str, Tensor], metadata: dict[str, str]) -> None:
    with committed(path) as temporary:
        safetensors.torch.save_file(tensors, temporary, metadata)
