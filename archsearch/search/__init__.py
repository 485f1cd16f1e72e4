"""The search: the only code that writes to a study."""
