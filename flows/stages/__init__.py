"""The stages, one file each; `flows/stage.py` has their contract."""
