"""The stand-in of Kaggle's service."""

from support.kaggle_project import kaggle

__all__ = ["kaggle"]
