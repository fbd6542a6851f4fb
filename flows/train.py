"""Train the embedder: frame store in, registered embedder out."""

from __future__ import annotations

from prefect import flow
from prefect.artifacts import create_table_artifact

from ssat.embedding.settings import TrainSettings
from ssat.workspace import Workspace
from tasks.services import ray_session
from tasks.train import train_embedder
from tasks.trained import TrainedEmbedder


@flow(name="train", persist_result=False)
def train_flow(workspace: str, settings: TrainSettings) -> TrainedEmbedder:
    """Train on the workspace's frame store; the same training is not done twice."""
    opened = Workspace.open(workspace)
    with ray_session(opened):
        result: TrainedEmbedder = train_embedder(opened, settings)
    create_table_artifact(
        table=[
            {"epoch": row["epoch"], **{key: value for key, value in row.items() if key != "epoch"}}
            for row in result.rows()
        ],
        key="training",
        description=f"Training of {result.embedder}, MLflow run {result.mlflow_run_id}",
    )
    return result
