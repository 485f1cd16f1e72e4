"""A page that runs the exported model in a browser: draw on it, or drop an image. Only files, no server of its own."""
