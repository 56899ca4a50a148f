"""What can go wrong between two registries."""

from __future__ import annotations

from django.utils.translation import gettext as _
from django.utils.translation import gettext_noop

from harborsite.errors import BadRequest, Conflict, NotFound, PreconditionFailed
from harborsite.outbound import OutboundError

_TEMPORARY = frozenset({408, 425, 429})


class RegistryUnhealthy(BadRequest):
    default_message = gettext_noop("the registry is unhealthy")


class RegistryUnknown(NotFound):
    default_message = gettext_noop("the registry does not exist")


class RegistryExists(Conflict):
    default_message = gettext_noop("the registry already exists")


class RegistryInUse(PreconditionFailed):
    default_message = gettext_noop("the registry is referenced by replication policies, cannot delete it")


class InstanceExists(Conflict):
    default_message = gettext_noop("there is a preheat instance of this name or endpoint")


class PolicyUnknown(NotFound):
    default_message = gettext_noop("the replication policy does not exist")


class PolicyExists(Conflict):
    default_message = gettext_noop("the replication policy already exists")


class PolicyBusy(PreconditionFailed):
    default_message = gettext_noop("the replication policy has executions that aren't in final status, stop them first")


class PolicyDisabled(PreconditionFailed):
    default_message = gettext_noop("the replication policy is disabled")


class ProxyCacheTarget(PreconditionFailed):
    """A project that only caches another registry; a copy to it is left out, which is no failure."""

    default_message = gettext_noop("the target is a proxy cache")


class RemoteError(OutboundError):
    """The other registry answered, but not as it should have; `answered` is its HTTP status."""

    default_message = gettext_noop("the other registry refused the request")

    def __init__(self, message: str = "", *, status: int = 0, retry_after: float = 0) -> None:
        super().__init__(message)
        self.answered = status
        self.retry_after = retry_after

    @property
    def is_temporary(self) -> bool:
        """Whether asking again later may help."""
        return self.answered in _TEMPORARY or self.answered >= 500

    @classmethod
    def of(cls, method: str, url: str, status: int, reason: str, retry_after: float = 0) -> RemoteError:
        if not reason:
            hints = {
                401: _("it does not accept the access ID and the access secret"),
                413: _("it takes nothing of this size, but may take it by chunk"),
            }
            reason = hints.get(status, "-")
        message = _("{method} {url} was answered with {status}: {reason}")
        shown = message.format(method=method, url=url.partition("?")[0], status=status, reason=reason)
        return cls(shown, status=status, retry_after=retry_after)


class UnfitContent(OutboundError):
    """What the other registry sent is not what it said it was; nothing of it is kept."""

    default_message = gettext_noop("the other registry sent content that does not fit its description")
