"""The ladder of ever more clips: which rung is next, the result of each, and when a run has to stop."""
