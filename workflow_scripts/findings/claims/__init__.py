"""Claims of earlier work on merging, each tested on the run at hand."""
