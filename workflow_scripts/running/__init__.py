"""The process that Snakemake runs in: what it holds, what it says of the run, how it ends."""
