"""The environment, read once: names and defaults, settings, credentials."""
