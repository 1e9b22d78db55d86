"""The report as one HTML file: sections made of blocks, and a page per target."""
