"""Source selectors, one module each."""
