"""The guide's own architecture: Docker's registry, which trusts our token service by the root certificate."""

import json
import time
from collections.abc import Iterator, Mapping
from typing import Any

import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.serialization import load_pem_private_key

from tests import images, services
from tests.clients.registry import Registry
from tests.clients.tools import Tool

SERVICE = "harbor-registry"
ISSUER = "harbor-token-issuer"


@pytest.fixture(scope="module")
def official(site: services.Site) -> Iterator[str]:
    token = {
        "realm": f"{site.url}/service/token",
        "service": SERVICE,
        "issuer": ISSUER,
        "rootcertbundle": str(site.data / "secret" / "root.crt"),
    }
    with services.docker_registry(auth={"token": token}) as host:
        yield host


class Bearer(Registry):
    """Requests that carry a token as it is given."""

    def __init__(self, host: str, token: str) -> None:
        super().__init__(host)
        self.token_text = token

    @property
    def authorization(self) -> dict[str, str]:
        return {"Authorization": f"Bearer {self.token_text}"}


def signed(site: services.Site, token: str, changes: Mapping[str, Any], key: object = None) -> str:
    """`token` with other claims, signed anew with the server's own key, or with another one."""
    pem = (site.data / "secret" / "private_key.pem").read_bytes()
    claims = jwt.decode(token, options={"verify_signature": False}) | dict(changes)
    headers = jwt.get_unverified_header(token)
    own: Any = key or load_pem_private_key(pem, None)
    return jwt.encode(claims, own, algorithm="RS256", headers=headers)


def test_it_takes_our_token_for_push_and_pull(official: str, registry: Registry, project: str) -> None:
    image = images.image("official")
    bearer = Bearer(official, registry.token(f"repository:{project}/app:pull,push"))
    bearer.push(f"{project}/app", image, "1")
    bearer.assert_serves(f"{project}/app", "1", image)


def test_a_client_signs_in_through_our_token_service(
    official: str, site: services.Site, project: str, skopeo: Tool, registry: Registry
) -> None:
    registry.push(f"{project}/app", images.image("official client"), "1")
    for host in (site.host, official):
        options = ("--tls-verify=false", "-u", "admin", "--password-stdin")
        assert "Login Succeeded" in skopeo("login", *options, host, stdin=site.password)
    plain = ("--src-tls-verify=false", "--dest-tls-verify=false")
    skopeo("copy", *plain, f"docker://{site.host}/{project}/app:1", f"docker://{official}/{project}/app:1")
    found = json.loads(skopeo("inspect", "--tls-verify=false", f"docker://{official}/{project}/app:1"))
    assert found["Digest"] == images.image("official client").digest


def test_it_refuses_a_request_without_a_token_and_names_our_service(
    official: str, site: services.Site, project: str
) -> None:
    answer = Registry(official).request("GET", f"/v2/{project}/app/manifests/1")
    assert answer.status == 401
    challenge = answer.headers["www-authenticate"]
    assert f'realm="{site.url}/service/token",service="{SERVICE}"' in challenge


def test_it_refuses_a_push_with_a_token_that_may_only_pull(official: str, site: services.Site) -> None:
    """A visitor asks for push on a public project and is given pull."""
    image = images.image("visitor")
    admin = Registry(site.host, "admin", site.password)
    Bearer(official, admin.token("repository:library/visited:pull,push")).push("library/visited", image, "1")
    visitor = Bearer(official, Registry(site.host).token("repository:library/visited:pull,push"))
    visitor.assert_serves("library/visited", "1", image)
    assert visitor.request("POST", "/v2/library/visited/blobs/uploads/", b"").status == 401


def test_it_refuses_a_token_for_another_repository(official: str, registry: Registry, project: str) -> None:
    bearer = Bearer(official, registry.token(f"repository:{project}/other:pull,push"))
    assert bearer.request("POST", f"/v2/{project}/app/blobs/uploads/", b"").status == 401


def test_it_refuses_an_expired_token(official: str, site: services.Site, registry: Registry, project: str) -> None:
    token = registry.token(f"repository:{project}/app:pull,push")
    now = int(time.time())
    again = Bearer(official, signed(site, token, {"exp": now + 600}))
    assert again.request("POST", f"/v2/{project}/app/blobs/uploads/", b"").status == 202
    late = Bearer(official, signed(site, token, {"iat": now - 7200, "nbf": now - 7200, "exp": now - 3600}))
    assert late.request("POST", f"/v2/{project}/app/blobs/uploads/", b"").status == 401


def test_it_refuses_a_forged_token(official: str, site: services.Site, registry: Registry, project: str) -> None:
    token = registry.token(f"repository:{project}/app:pull,push")
    stranger = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    head, body, signature = token.split(".")
    forgeries = (signed(site, token, {}, stranger), f"{head}.{body}.{signature[::-1]}", f"{head}.{body}.")
    for forgery in forgeries:
        assert Bearer(official, forgery).request("POST", f"/v2/{project}/app/blobs/uploads/", b"").status == 401
