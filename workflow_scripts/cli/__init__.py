"""The command `xlmerge`."""
