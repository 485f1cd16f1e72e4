"""The winner as files for other runtimes: written, proven in a process of their own, and asked for predictions."""
