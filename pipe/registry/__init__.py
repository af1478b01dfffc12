"""The registry's HTTP API: the only package that sends requests to registries and interprets their answers."""
