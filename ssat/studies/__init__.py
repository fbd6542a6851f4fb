"""The paper's tables as experiments: variants, published numbers, statistics over seeds."""
