"""Numbers without words."""
