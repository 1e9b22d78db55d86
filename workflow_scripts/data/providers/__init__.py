"""Data providers: the module's name is the provider's name in the config."""
