"""From an architecture to a Keras model."""
