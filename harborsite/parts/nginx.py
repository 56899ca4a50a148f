"""nginx: the one open port. It speaks TLS, waits for slow clients, and sends the blobs that the application allows."""

from __future__ import annotations

import os
import resource

from harborsite.config import Config
from harborsite.parts import Part, owner, rendered
from harborsite.server.web import has_ipv6


def part(config: Config) -> Part:
    run = config.run_dir
    file = run / "nginx.conf"
    place = ("-p", str(run), "-c", str(file))
    return Part(
        name="nginx",
        description="Proxy (nginx)",
        package="nginx-light",
        program="nginx",
        arguments=(*place, "-e", "/dev/null"),  # everything goes to the collector
        files=lambda: {file: configuration(config)},
        directories=[run / "nginx"],
        check=("-t", "-q", *place, "-e", "stderr"),
    )


def configuration(config: Config) -> str:
    values = {
        "USER": _user(config),
        "FILES": str(min(65536, resource.getrlimit(resource.RLIMIT_NOFILE)[1])),
        "RUN": str(config.run_dir),
        "BLOBS": str(config.data_volume / "registry"),
        "TLS": _tls(config),
        "LISTEN": _listen(config),
    }
    return rendered("nginx.conf", values)


def _user(config: Config) -> str:
    """As root, nginx wants to know for whom its workers run: whoever owns the blobs may read them."""
    if os.geteuid() != 0:
        return ""
    return f"user {owner(config)};"


def _tls(config: Config) -> str:
    if not config.is_https:
        return ""
    lines = [
        f"ssl_certificate {config.ssl_cert};",
        f"ssl_certificate_key {config.ssl_cert_key};",
        "ssl_protocols TLSv1.2 TLSv1.3;",
        "ssl_session_cache shared:tls:10m;",
        "ssl_session_timeout 1d;",
        "ssl_session_tickets off;",
    ]
    if config.http_port:
        there = "$host" if config.https_port == 443 else f"$host:{config.https_port}"
        lines += [
            "server {",
            *_addresses(config, config.http_port),
            f"    return 308 https://{there}$request_uri;",
            "}",
        ]
    return "".join(f"    {line}\n" for line in lines)


def _listen(config: Config) -> str:
    lines = _addresses(config, config.port, "ssl" if config.is_https else "")
    if config.is_https:
        lines.append(f"    error_page 497 =308 https://$host:{config.https_port}$request_uri;")
    return "\n".join(f"    {line}" for line in lines)


def _addresses(config: Config, port: int, option: str = "") -> list[str]:
    bind = config.bind.strip("[]")
    hosts = [f"[{bind}]" if ":" in bind else bind] if bind else ["0.0.0.0", *(["[::]"] if has_ipv6() else [])]  # noqa: S104 - documented default
    return [f"    listen {host}:{port}{' ' + option if option else ''};" for host in hosts]
