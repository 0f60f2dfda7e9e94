"""Recipe files: how a network is built and trained, and what tuning may try."""
