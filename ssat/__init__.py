"""Self-supervised appearance tracking: unlabelled clips → frames → embedder → tracks → scores.

The library half of the project. It knows nothing of Prefect, Ray or MLflow; import the sub-package you need.
"""

__version__ = "0.1.0"
