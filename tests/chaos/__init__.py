"""The real pipeline on a slice, broken on purpose: `make chaos`."""
