"""Encoders that need no model hub: the module's name is the base's name in the config."""
