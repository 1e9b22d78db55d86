"""When merging helps, from what is known before; what to do for each target."""
