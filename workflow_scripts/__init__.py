"""xlmerge: when does merging per-language models beat the best single one?"""
