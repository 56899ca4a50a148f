"""Sending one event to one address."""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Callable, Mapping
from typing import Any

from harborsite.jobs.runner import PermanentError
from harborsite.outbound import AddressRefused, Client
from projects.models import WebhookPolicy
from projects.webhooks import payloads

TIMEOUT_SECONDS = 3.0
SIGNATURE = "X-Harborsite-Signature"


def deliver(*, policy_id: int, address: str, payload: str, log: Callable[[str], None]) -> None:
    """POST the payload; raises where the other side did not take it, so that the job tries again.

    Header and certificate rule are read now: they are in no job's parameters, and a target that was removed
    meanwhile gets nothing.
    """
    policy = WebhookPolicy.objects.filter(pk=policy_id).first()
    targets = policy.targets if policy else []
    target = next((each for each in targets if each["address"] == address), None)
    if target is None:
        raise PermanentError("the policy no longer has this address")
    url = address if "://" in address else f"http://{address}"
    body = payload.encode()
    client = Client(verify=not target.get("skip_cert_verify"), timeout=TIMEOUT_SECONDS, user_agent="Harborsite-Webhook")
    try:
        with client, client.request("POST", url, headers=_headers(target, body), body=body) as answer:
            log(f"the address answers {answer.status}")
            if not 200 <= answer.status < 300:
                raise ConnectionError(f"the address answers {answer.status}")
    except AddressRefused as error:
        raise PermanentError(error.message) from None


def _headers(target: Mapping[str, Any], body: bytes) -> dict[str, str]:
    """With a shared secret the receiver can also check that the body is ours: an HMAC with it as the key."""
    headers = {"Content-Type": payloads.media_type(target)}
    if secret := target.get("auth_header"):
        if target["type"] == "http":
            headers["Authorization"] = secret
        headers[SIGNATURE] = "sha256=" + hmac.new(secret.encode(), body, hashlib.sha256).hexdigest()
    return headers
