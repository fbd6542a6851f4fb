"""Flows: the stages and their order, and the command line that starts them."""
