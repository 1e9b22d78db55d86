"""Base encoders, fine-tuning, compact vocabularies and task vectors on disk."""
