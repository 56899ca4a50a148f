"""A registry with projects, roles and a portal."""

__version__ = "0.1.0"
