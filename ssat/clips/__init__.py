"""From a list of candidates to trimmed 10-second clips on disk."""
