"""The configuration, read from the environment: variables and defaults, settings, credentials."""
