"""Harborsite against Debian's docker-registry on one machine: `python -m bench`."""
