"""The config, the experiments, and what each job needs and is told."""
