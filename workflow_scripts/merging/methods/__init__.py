"""Merge methods: the module's name is the method's name in the config."""
