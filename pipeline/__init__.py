"""A Kaggle competition from its data to a scored submission file; see `__main__.py` first."""
