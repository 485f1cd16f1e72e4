"""Trackers that watch a study: TensorBoard, MLflow, Weights & Biases. None of them can hurt the search."""
