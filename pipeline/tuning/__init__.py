"""Optuna studies: trials, pruning, and the check at full length."""
