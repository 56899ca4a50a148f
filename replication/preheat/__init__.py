"""Preheating peer-to-peer networks: no provider can be registered yet, and everything answers so."""
