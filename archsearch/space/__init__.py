"""The search-space language, and what a candidate is: pure Python, without TensorFlow and Optuna."""
