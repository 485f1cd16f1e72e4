"""What a KerasTuner `HyperModel` builds and fits, in a worker; https://keras.io/keras_tuner/api/hypermodels/."""
