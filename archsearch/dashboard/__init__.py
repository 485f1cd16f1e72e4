"""Optuna's dashboard, with what archsearch knows of a study."""
