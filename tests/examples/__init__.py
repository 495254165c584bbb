"""How to test what uses this library: examples that are documentation, and run."""
