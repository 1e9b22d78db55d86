"""Hugging Face checkpoints as sources, θ₀ and output of a merge."""
