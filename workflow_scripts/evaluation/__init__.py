"""Forward passes over examples, rows of the NxN matrix, and metrics."""
