"""Prefect tasks, Ray work and MLflow runs over the pure functions of `ssat`."""
