"""Training on Kaggle's own GPUs: a script that is sent there, and what it brings back."""
