"""What every stage shares; nothing in here imports torch or pandas."""
