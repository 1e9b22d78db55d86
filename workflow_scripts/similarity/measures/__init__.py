"""Similarity measures: the module's name is the measure's name in the config, in any case."""
