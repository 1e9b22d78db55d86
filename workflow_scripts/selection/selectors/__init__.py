"""Selectors: the module's name is the selector's name in the config."""
