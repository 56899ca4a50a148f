"""REST tests that push images have a store of their own."""

from tests.registry.conftest import _pulls_of_this_test, blob_store

__all__ = ["_pulls_of_this_test", "blob_store"]
