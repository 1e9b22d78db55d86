"""Data providers: one module each, ``load(locale, split, settings)`` gives examples."""
