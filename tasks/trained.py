"""The result and folder of a training: the same training is done once."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Literal

from ssat.embedding.progress import EpochRecord, records
from ssat.embedding.settings import TrainSettings
from ssat.file_names import TRAINING_RESULT
from ssat.frames.instances import InstanceTable
from ssat.frames.store import FrameStore
from ssat.once import saved_values
from ssat.workspace import Workspace
from tasks.evaluations import probe_of_settings


@dataclass(frozen=True)
class FeatureChoice:
    """What a training keeps as its embedder, and the scores that decided it.

    Attributes:
        kept: the network, or colours learned from patches that are followed through the same clips.
        network_auc, colours_auc: of the held-out score of `ssat colours`, on the same patches of held-out clips; None
            where nothing was compared.
        pairs: patches that were compared.
        patches: that the colours were learned from.
        note: why nothing was compared; empty where it was, or was not asked for.
    """

    kept: Literal["network", "colours"] = "network"
    network_auc: float | None = None
    colours_auc: float | None = None
    pairs: int = 0
    patches: int = 0
    note: str = ""

    @property
    def metrics(self) -> dict[str, float]:
        """The scores by name, for records; empty where nothing was compared."""
        if self.network_auc is None or self.colours_auc is None:
            return {}
        return {"patches_auc_network": self.network_auc, "patches_auc_colours": self.colours_auc}


@dataclass(frozen=True)
class TrainedEmbedder:
    """A finished training as its result file records it."""

    embedder: str
    """The embedder's file, relative to the workspace."""
    mlflow_run_id: str
    model_version: str | None
    """Registered version; None if the tracking server was away."""
    settings: dict[str, Any]
    """By their flat names."""
    data_digest: str
    classes: int
    steps: int
    held_out: dict[str, float]
    """Held-out scores of the embedder."""
    best: dict[str, float]
    """The same under held_out_…, and the `epoch` of that evaluation."""
    history: Sequence[EpochRecord]
    probe: dict[str, float] = field(default_factory=dict)
    """`auc`, `auc_low` and `auc_high` of the embedder on the footage of setting `probe`; empty without it."""
    instances: dict[str, int] = field(default_factory=dict)
    """Fields of `tasks.instances.InstanceCounts`; empty if a class is a clip."""
    choice: FeatureChoice = field(default_factory=FeatureChoice)
    """What the embedder is, where setting `colours` asked for a comparison; the network without."""
    reused: bool = False
    """The training was done before."""

    def as_json(self) -> Mapping[str, object]:
        """Return JSON values; the history as flat rows."""
        return {**asdict(self), "history": self.rows()}

    def rows(self) -> list[dict[str, float]]:
        """Return the history as flat rows, one of each epoch."""
        return [record.row() for record in self.history]

    @classmethod
    def load(cls, path: Path) -> TrainedEmbedder:
        """Return the result in a file of a finished training."""
        content = saved_values(path)
        choice = FeatureChoice(**content.get("choice", {}))
        return cls(**{**content, "history": records(content["history"]), "choice": choice})


def training_folder(
    workspace: Workspace,
    settings: TrainSettings,
    store: FrameStore,
    probe_digest: str | None = None,
    instances: InstanceTable | None = None,
) -> Path:
    """Return the folder of this training: one per data and settings, so that the same training is done once.

    Args:
        probe_digest: of the footage that chooses the weights, where there is one.
        instances: the table of the instances, where they are not clips.
    """
    data = store.digest
    if instances is not None:
        from ssat.embedding.instance_data import data_digest

        data = data_digest(store, instances)

    # The place of execution does not change the result, so training can continue with more or fewer workers.
    parts = [settings.identity(), data, *([] if probe_digest is None else [probe_digest])]
    digest = hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()
    return workspace.training / digest[:16]


def finished_training(workspace: Workspace, settings: TrainSettings) -> TrainedEmbedder | None:
    """Return the result of the same training done before, or None.

    None as well for an embedder that could not be registered, which has to be tried again, and where a class is not a
    clip: the instances would have to be found first.

    Raises:
        InputError: no usable frame store, or footage that cannot be probed.
    """
    if settings.classes.kind != "clip":
        return None
    store = FrameStore.open(workspace.frames)
    probe = probe_of_settings(settings)
    result_file = training_folder(workspace, settings, store, None if probe is None else probe.digest) / TRAINING_RESULT
    if not result_file.exists():
        return None
    result = TrainedEmbedder.load(result_file)
    return None if result.model_version is None else result
