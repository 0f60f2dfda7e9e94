"""Checks before a run: settings, machine, services."""
