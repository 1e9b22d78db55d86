"""Thresholds of the older study's rules, which policies, claims and figures try out."""

ZS_SELF = 0.6  # merge only where best zero-shot / self is below it
STRONG_SOURCE = 0.7  # do not merge where the best single source is above it
