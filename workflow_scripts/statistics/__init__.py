"""Tests, intervals and corrections for systems that are compared on the same items."""
