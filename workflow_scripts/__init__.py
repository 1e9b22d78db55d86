"""xlmerge finds out when merging per-language models beats the best single one."""

__version__ = "0.2.0"
