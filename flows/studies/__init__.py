"""The studies: the paper's tables as one command each."""
