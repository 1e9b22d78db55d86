"""One entry point per rule: unpack, call one function, write."""
