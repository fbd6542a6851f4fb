"""The servers of infra/compose.yaml as plain processes on loopback: Postgres, Prefect, MLflow and a Ray of three nodes.

`python -m infra.services up` starts them and prints the environment that names them, `down` stops what it started.
"""
