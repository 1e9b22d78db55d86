"""Weight merging: a streaming engine and one module per method."""
