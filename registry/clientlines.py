"""The shell lines that fetch and store something, for each client people use."""

from __future__ import annotations

from harborsite import config
from registry.oci import media_types


def reference(repository: str, version: str) -> str:
    """`host/project/repository:tag` or `…@digest`."""
    mark = "@" if ":" in version else ":"
    return f"{config.current().registry_host}/{repository}{mark}{version}"


def pull(repository: str, version: str, kind: str = media_types.IMAGE) -> list[tuple[str, str]]:
    """Name of the client and its line; for what is no image, only the clients that can fetch it."""
    target = reference(repository, version)
    if kind == media_types.IMAGE:
        return [(client, f"{client} pull {target}") for client in ("docker", "podman", "nerdctl")]
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
