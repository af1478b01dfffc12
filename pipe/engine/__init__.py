"""Docker Engine: the only package that uses the Docker SDK and knows the Engine's messages."""
