"""Amazon MASSIVE, from its archive or from the Hugging Face hub."""
