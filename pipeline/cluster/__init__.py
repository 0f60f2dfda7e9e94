"""A Ray cluster to train on: its nodes, started and shown."""
