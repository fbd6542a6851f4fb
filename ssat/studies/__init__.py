"""The paper's tables as experiments: which variants, what was published, what seeds say."""
