"""The ladder of ever more clips: which rung is next, what each came to, and when a run has to stop."""
