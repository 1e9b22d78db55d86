"""mergekit's YAML as a way to say what is to be merged."""
