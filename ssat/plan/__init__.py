"""Estimate the cost of a number of clips: figures with their sources, arithmetic, and measurements."""
