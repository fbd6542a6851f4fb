"""Faults on real servers: each part is killed, stopped or starved amid a stage, and what comes of it is compared.

`python -m infra.drills` runs them all and writes the table of docs/reliability.md.
"""
