"""A small rendered world for `ssat demo`: video clips without labels, and MOT sequences with ground truth."""
