"""What is known of a language from its tag."""
