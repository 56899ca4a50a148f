"""Policies of a project about its artifacts."""
