"""A Bitbucket Pipelines pipe that pushes a container image and verifies that it arrived."""
