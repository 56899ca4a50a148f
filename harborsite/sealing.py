"""Sealing secrets that have to be read again with the key at `secretkey_path`: a copy of the database tells none."""

from __future__ import annotations

import base64
import hashlib
import logging
from functools import cache

from cryptography.fernet import Fernet, InvalidToken

from harborsite.config import current

logger = logging.getLogger("harborsite")

KEY_FILE = "secretkey"  # made by `prepare`


def seal(secret: str) -> str:
    """`secret`, readable by this installation alone; empty stays empty."""
    return _box().encrypt(secret.encode()).decode("ascii") if secret else ""


def unseal(sealed: str) -> str:
    """What was sealed; empty if it was sealed with another key, so that whoever is asked answers "wrong password"."""
    if not sealed:
        return ""
    try:
        return _box().decrypt(sealed.encode("ascii")).decode()
    except InvalidToken:
        logger.exception("a secret was sealed with another key; enter it again")
        return ""


@cache
def _box() -> Fernet:
    """The key file holds any text, as Harbor's does; Fernet wants 32 bytes."""
    text = (current().secretkey_path / KEY_FILE).read_bytes().strip()
    return Fernet(base64.urlsafe_b64encode(hashlib.sha256(text).digest()))
