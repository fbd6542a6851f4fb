"""The ladder of training sizes: the next rung, the result of each, and the budgets that stop a run."""
