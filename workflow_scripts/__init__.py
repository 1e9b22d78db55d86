"""xlmerge finds out when merging per-language models beats the best single one."""
