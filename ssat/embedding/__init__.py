"""The appearance network: CosFace pretext training and the 512-d embedder that comes out of it."""
