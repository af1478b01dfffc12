"""The use case: check, upload by Docker Engine or by the pipe itself, prove; within the limits of the registry."""
