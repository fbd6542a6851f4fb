"""MOTChallenge sequences: reading them, splitting them, scoring results on them."""
