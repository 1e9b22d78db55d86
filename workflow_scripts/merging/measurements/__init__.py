"""What a merge method may want to know about each source model: one module per measurement."""
