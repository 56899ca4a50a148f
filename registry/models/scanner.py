"""Scanners that are registered, by the adapter that speaks for each."""

from __future__ import annotations

import uuid

from django.db import models


def _new_uuid() -> str:
    return str(uuid.uuid4())


class Scanner(models.Model):
    """`credential` is sealed; `capabilities` are what the adapter said of itself when it was last asked."""

    class Auth(models.TextChoices):
        NONE = ""
        BASIC = "Basic"
        BEARER = "Bearer"
        API_KEY = "APIKey"

    uuid = models.CharField(max_length=36, unique=True, default=_new_uuid, editable=False)
    name = models.CharField(max_length=128, unique=True)
    description = models.CharField(max_length=1024, blank=True)
    url = models.CharField(max_length=512, unique=True)
    auth = models.CharField(max_length=16, blank=True, choices=Auth.choices, default=Auth.NONE)
    credential = models.TextField(blank=True)
    skip_verify = models.BooleanField(default=False)
    use_internal_address = models.BooleanField(default=False)
    disabled = models.BooleanField(default=False)
    is_default = models.BooleanField(default=False)
    capabilities = models.JSONField(default=dict, blank=True)
    creation_time = models.DateTimeField(auto_now_add=True)
    update_time = models.DateTimeField(auto_now=True)

    class Meta:
        ordering = ("creation_time", "pk")

    def __str__(self) -> str:
        return self.name
