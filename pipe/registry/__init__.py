"""The registry's HTTP API: the one room that sends requests, and that knows the registry's answers."""
