"""Images and labels: sources, the cache they are converted into, splits and checks."""
