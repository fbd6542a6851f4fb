"""The Parquet frame store: written from clips, read back as training batches."""
