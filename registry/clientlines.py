"""The shell lines that fetch and store something, for each client people use."""

from __future__ import annotations

from harborsite import config
from registry.oci import media_types

_USUAL = ("docker", "podman", "nerdctl")
_PULL = {"ctr": "image pull"}  # where the command is not simply `pull`


def reference(repository: str, version: str) -> str:
    """`host/project/repository:tag` or `…@digest`."""
    mark = "@" if ":" in version else ":"
    return f"{config.current().registry_host}/{repository}{mark}{version}"


def pull(
    repository: str, version: str, kind: str = media_types.IMAGE, *, first: str = "docker"
) -> list[tuple[str, str]]:
    """Name of the client and its line, that of `first` first; for what is no image, the clients that can fetch it."""
    target = reference(repository, version)
    if kind == media_types.IMAGE:
        clients = [first, *(client for client in _USUAL if client != first)]
        return [(client, f"{client} {_PULL.get(client, 'pull')} {target}") for client in clients]
    if kind == media_types.CHART and "@" not in target:
        address, _colon, tag = target.rpartition(":")
        return [("helm", f"helm pull oci://{address} --version {tag}"), ("oras", f"oras pull {target}")]
    return [("oras", f"oras pull {target}")]


def push(repository: str) -> list[tuple[str, str]]:
    """From a local image or file to `repository`."""
    target = reference(repository, "TAG")
    host = config.current().registry_host
    return [
        ("docker", f"docker tag IMAGE {target}"),
        ("docker", f"docker push {target}"),
        ("podman", f"podman push IMAGE {target}"),
        ("helm", f"helm push CHART.tgz oci://{host}/{repository.partition('/')[0]}"),
        ("oras", f"oras push {target} FILE"),
    ]
