"""A Kaggle competition, from its data to a scored submission file, one module a DVC stage."""
