"""KerasTuner both ways: its hypermodels searched here, and our spaces for its tuners."""
