"""`manage.py make_cert`: the guide's self-signed certificate, in one command."""

from __future__ import annotations

from typing import Any

from django.core.management.base import CommandParser

from harborsite.config import current
from harborsite.setup import SetupError, cannot_write, certificates
from harborsite.setup.command import OperatorCommand
from harborsite.shelltext import gettext, gettext_noop


class Command(OperatorCommand):
    help = gettext_noop(
        "Make a server certificate for https, signed by a CA of its own that clients are told to trust."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--days", type=int, default=365, help=gettext("how long it is valid (default: 365)"))
        parser.add_argument(
            "--name",
            action="append",
            default=[],
            metavar="NAME",
            help=gettext("a further name or address of this server, beside hostname of harbor.cfg; may be repeated"),
        )
        parser.add_argument(
            "--renew", action="store_true", help=gettext("make a new one though the old one still serves")
        )

    def handle(self, *args: Any, **options: Any) -> None:
        config = current()
        days = options["days"]
        if not 1 <= days <= certificates.CA_LIFETIME.days:
            raise SetupError(
                gettext("--days {days}: must be from 1 to {days2}").format(
                    days=days, days2=certificates.CA_LIFETIME.days
                )
            )
        try:
            place, made = certificates.make(
                config=config, days=days, more_names=options["name"], renew=options["renew"]
            )
        except OSError as error:
            raise cannot_write(error) from error
        self.print_step(gettext("Certificate"), f"{place.certificate} {gettext('made') if made else gettext('kept')}")
        self.print_step(gettext("CA of clients"), str(place.ca))
        if not config.is_https:
            intro = gettext("For https, put into {file} and run ./install.sh again:").format(file=config.source)
            self.stdout.write(
                f"\n{intro}\n  ui_url_protocol = https\n  ssl_cert = {place.certificate}\n  ssl_cert_key = {place.key}"
            )
            return
        host = config.registry_host
        intro = gettext("On each machine that runs Docker or Podman, put the CA beside its registry's name:")
        self.stdout.write(f"\n{intro}\n  /etc/docker/certs.d/{host}/ca.crt\n  /etc/containers/certs.d/{host}/ca.crt")
