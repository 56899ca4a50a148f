"""What people show beside their password when they sign in to the portal."""

from __future__ import annotations

from django.db import models
from django.utils.translation import gettext_lazy as _

from projects.models.user import User


class SecondFactor(models.Model):
    """A time-based one-time password (RFC 6238) of one account; deleting the row switches it off."""

    user = models.OneToOneField(
        User, verbose_name=_("user"), related_name="second_factor", on_delete=models.CASCADE, primary_key=True
    )
    secret = models.TextField(_("secret"))  # sealed, see `harborsite.sealing`
    last_step = models.BigIntegerField(_("last step"), default=0)  # the newest code used: none is good twice
    recovery_codes = models.JSONField(_("recovery codes"), default=list)  # SHA-256 of those not used yet
    failures = models.PositiveIntegerField(_("wrong codes"), default=0)  # since the last right one, or the last lock
    failed_at = models.DateTimeField(_("last wrong code"), null=True)
    creation_time = models.DateTimeField(_("created"), auto_now_add=True)

    class Meta:
        verbose_name = _("second factor")
        verbose_name_plural = _("second factors")

    def __str__(self) -> str:
        return self.user.username
