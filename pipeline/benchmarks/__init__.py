"""Measurements: accuracy as published, speed, tuning, CSV reading, other deals."""
