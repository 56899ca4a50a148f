"""Signing in: who brings which credentials, from where."""

from projects.identity.origin import client_address
from projects.identity.signin import DefaultPasswordRefused, sign_in

__all__ = ["DefaultPasswordRefused", "client_address", "sign_in"]
