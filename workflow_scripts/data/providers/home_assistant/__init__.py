"""Sentences sampled from the home-assistant-intents templates."""
