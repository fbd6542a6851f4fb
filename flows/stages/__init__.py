"""The stages, a file each; `flows/stage.py` says what a stage is."""
