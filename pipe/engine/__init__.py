"""Docker Engine: the one room that uses the Docker SDK, and that knows the Engine's words."""
