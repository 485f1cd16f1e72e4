"""A study that is searched while faults are injected at random, and what must be true of it in the end."""
