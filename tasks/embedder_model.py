"""The registered model: MLflow stores this file and the embedder's safetensors, and no pickle.

`mlflow.pyfunc.load_model("models:/ssat-embedder/1").predict(patches)` takes uint8 RGB patches (B, S, S, 3) and gives
L2-normalised features (B, 512).
"""

import mlflow
import numpy as np
from mlflow.pyfunc import PythonModel, PythonModelContext

from ssat.embedding.embedder import Embedder


class EmbedderModel(PythonModel):
    """MLflow model of the safetensors artifact named `embedder`."""

    def load_context(self, context: PythonModelContext) -> None:
        self.embedder = Embedder.load(context.artifacts["embedder"])

    # Fully annotated, MLflow would take the hints for a signature and warn that it cannot.
    def predict(self, context, model_input: np.ndarray, params=None):  # type: ignore[no-untyped-def]
        return self.embedder(np.asarray(model_input, dtype=np.uint8))


mlflow.models.set_model(EmbedderModel())
