"""Which code, settings and inputs made a file."""
