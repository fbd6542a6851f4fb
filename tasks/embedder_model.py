"""The registered model: MLflow stores this file and the embedder's safetensors beside it, and no pickle.

`mlflow.pyfunc.load_model("models:/ssat-embedder/1").predict(patches)` takes uint8 RGB patches (B, S, S, 3) and gives
L2-normalised features (B, 512).
"""

from typing import Any

import mlflow
import numpy as np
from mlflow.pyfunc import PythonModel, PythonModelContext
from numpy.typing import NDArray

from ssat.embedding.embedder import Embedder


class EmbedderModel(PythonModel):
    """Loads the safetensors artifact named `embedder`."""

    def load_context(self, context: PythonModelContext) -> None:
        self.embedder = Embedder.load(context.artifacts["embedder"])

    def predict(
        self, context: PythonModelContext, model_input: NDArray[np.uint8], params: dict[str, Any] | None = None
    ) -> NDArray[np.float32]:
        return self.embedder(np.asarray(model_input, dtype=np.uint8))


mlflow.models.set_model(EmbedderModel())
