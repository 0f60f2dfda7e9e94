"""Kaggle's service: its client, data files, submissions, and the ledger."""
