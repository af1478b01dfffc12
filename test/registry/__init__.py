"""A local registry that keeps the documented rules of Bitbucket's container registry."""
