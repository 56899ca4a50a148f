"""Registries and replication in the REST API."""
