"""The use case: check, push by the Engine, verify, within the limits of the registry."""
