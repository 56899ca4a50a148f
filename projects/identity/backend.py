"""Django's door to signing in: the portal's login form and sessions come through here."""

from __future__ import annotations

from typing import Any

from django.contrib.auth.backends import BaseBackend
from django.db.models import QuerySet
from django.http import HttpRequest

from harborsite.db.prepared import prepared_models
from projects.identity import ldap
from projects.identity.origin import client_address
from projects.identity.signin import sign_in
from projects.models import User


class IdentityBackend(BaseBackend):
    """People only: robot accounts have no session. Raises DefaultPasswordRefused, which the form has to show."""

    def authenticate(
        self, request: HttpRequest | None, username: str | None = None, password: str | None = None, **kwargs: Any
    ) -> User | None:
        if username is None or password is None:
            return None
        address = client_address(request.META) if request else ""
        account = sign_in(username=username, password=password, remote_addr=address)
        return account if isinstance(account, User) else None

    def get_user(self, user_id: int) -> User | None:
        """The row as it is now, so that a session ends with the account.

        People of a directory are looked up there again every few minutes, and so are their groups.
        """
        found = _active(user_id)
        user = found[0] if found else None
        return ldap.refreshed(user) if user and user.is_of_directory else user


@prepared_models
def _active(pk: int) -> QuerySet[User]:
    return User.objects.living().order_by().filter(pk=pk, is_active=True)
