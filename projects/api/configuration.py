"""The settings of the running system."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Never, TypeAlias, TypedDict

from rest_framework.request import Request

from harborsite.api import body
from harborsite.api.answers import Answer, Done
from harborsite.errors import Unauthorized, Unprocessable
from projects import params
from projects.api.base import ANYONE, ApiView
from projects.params import PARAMS
from projects.services import settings

SHOWN = sorted({*(key for key, param in PARAMS.items() if not param.secret), params.UAA_CLIENT_SECRET.key})


class Setting(TypedDict):
    value: str | int | bool
    editable: bool


if TYPE_CHECKING:
    Configurations: TypeAlias = dict[str, Any]
else:  # a member for each setting, as the list of settings has them
    Configurations = TypedDict("Configurations", dict.fromkeys(SHOWN, Setting) | {"scan_all_policy": dict[str, Any]})


class ConfigurationsView(ApiView):
    actions = {"GET": "configuration:read", "PUT": "configuration:update"}
    works_read_only = frozenset({"PUT"})  # how else to leave the read-only mode

    def get(self, request: Request) -> Answer[Configurations]:
        fixed = settings.auth_mode_is_fixed()
        shape: dict[str, Any] = {
            key: {"value": params.get(param), "editable": not (fixed and param is params.AUTH_MODE)}
            for key, param in sorted(PARAMS.items())
            if not param.secret
        }
        shape[params.UAA_CLIENT_SECRET.key] = {"value": "", "editable": True}  # its clients look for the key
        return Answer(shape | {"scan_all_policy": {}})

    def put(self, request: Request) -> Done:
        values = body.read(request, dict[str, Any])
        for key, value in values.items():
            if key in PARAMS and value is not None:
                values[key] = _typed(key, value)
        settings.change_settings(values=values, actor=self.who)
        return Done()


def _typed(key: str, value: Any) -> Any:
    """A number may be written as `1e2`; another type is 422."""
    wanted = type(PARAMS[key].default)
    if wanted is int and isinstance(value, float) and value.is_integer() and abs(value) < 2**63:
        return int(value)
    if type(value) is not wanted:
        raise Unprocessable(f"{key} in body must be of type {wanted.__name__}")
    return value


class InternalConfigurationView(ApiView):
    """Harbor's parts ask each other here; ours are one process tree and have no need to."""

    actions = {"GET": ANYONE}

    def get(self, request: Request) -> Never:
        raise Unauthorized("only internal service is allowed to call this API")
