"""A Bitbucket Pipelines pipe that pushes a container image and proves that it arrived."""
