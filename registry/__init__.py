"""The registry: repositories, artifacts and their bytes, over the distribution protocol."""
