"""Measurements: accuracy as published, speed, tuning, CSV reading, memory, scale."""
