"""`manage.py users`: people's accounts from the shell, through the same services as the portal."""

from __future__ import annotations

import getpass
import json
import sys
from typing import Any

from django.core.management.base import CommandParser

from harborsite.config import current
from harborsite.configvalues import DATABASE
from harborsite.setup import SetupError
from harborsite.setup.command import OperatorCommand
from harborsite.setup.readiness import check_prepared
from harborsite.shelltext import gettext, gettext_noop
from projects.identity import lockout, second_factor
from projects.identity.ldap.lookup import move_person
from projects.models import User
from projects.services import accounts

ACTOR = "system"  # in the audit log


class Command(OperatorCommand):
    help = gettext_noop("List, create and change accounts. Exit status: 0 done, 1 refused, 2 wrong usage.")

    def add_arguments(self, parser: CommandParser) -> None:
        verbs = parser.add_subparsers(dest="verb", metavar="VERB", required=True)
        verbs.add_parser("list", help=gettext("all accounts"))
        create = verbs.add_parser("create", help=gettext("make an account"))
        create.add_argument("username")
        create.add_argument("--email", default="")
        create.add_argument("--realname", default="")
        create.add_argument("--comment", default="")
        create.add_argument("--admin", action="store_true", help=gettext("make it a system administrator"))
        disable = verbs.add_parser("disable", help=gettext("shut an account out at once"))
        disable.add_argument("username")
        disable.add_argument("--undo", action="store_true", help=gettext("let the account in again"))
        password = verbs.add_parser("set-password", help=gettext("give an account a new password; its sessions end"))
        password.add_argument("username")
        admin = verbs.add_parser("set-admin", help=gettext("make an account a system administrator"))
        admin.add_argument("username")
        admin.add_argument("--undo", action="store_true", help=gettext("take that right away"))
        move = verbs.add_parser(
            "move", help=gettext("give an account to another source of users; what it may do stays")
        )
        move.add_argument("username")
        move.add_argument("source", help=gettext("database, ldap, ldap_2 and so on"))
        factor = verbs.add_parser("drop-second-factor", help=gettext("let an account sign in by password alone again"))
        factor.add_argument("username")
        unlock = verbs.add_parser(
            "unlock", help=gettext("forget an account's failed sign-ins, so that it is not locked out")
        )
        unlock.add_argument("username")
        for verb in (create, password):
            verb.add_argument(
                "--password",
                help=gettext(
                    "without it the password is asked for, or read from standard input if that is no terminal; "
                    "other users of this machine may see what stands here"
                ),
            )
        for verb in verbs.choices.values():
            verb.add_argument("--json", action="store_true", help=gettext("for scripts"))

    def handle(self, *args: Any, verb: str, **options: Any) -> None:
        check_prepared(current())
        if verb == "list":
            self._list(as_json=options["json"])
            return
        user = getattr(self, f"_{verb.replace('-', '_')}")(options)
        self.stdout.write(json.dumps(shown(user)) if options["json"] else f"{verb}: {user.username}")

    def _list(self, *, as_json: bool) -> None:
        rows = [shown(user) for user in User.objects.living()]
        if as_json:
            self.stdout.write(json.dumps(rows))
            return
        for row in rows:
            marks = [name for name, holds in (("admin", row["sysadmin_flag"]), ("disabled", row["disabled"])) if holds]
            marks += [row["source"]] if row["source"] != DATABASE else []
            self.stdout.write(
                f"{row['user_id']:>6}  {row['username']:<24}  {row['email']:<32}  {' '.join(marks)}".rstrip()
            )

    def _create(self, options: dict[str, Any]) -> User:
        return accounts.create_user(
            username=options["username"],
            email=options["email"],
            password=given_password(options),
            realname=options["realname"],
            comment=options["comment"],
            sysadmin_flag=options["admin"],
            actor=ACTOR,
        )

    def _disable(self, options: dict[str, Any]) -> User:
        return accounts.set_active(user=named(options), active=options["undo"], actor=ACTOR)

    def _set_password(self, options: dict[str, Any]) -> User:
        user = named(options)
        return accounts.set_password(user=user, password=given_password(options), actor=ACTOR)

    def _set_admin(self, options: dict[str, Any]) -> User:
        return accounts.set_sysadmin(user=named(options), flag=not options["undo"], actor=ACTOR)

    def _move(self, options: dict[str, Any]) -> User:
        """To a directory: the person of that name there. To the database: no password works until one is set."""
        user, source = named(options), options["source"]
        if user.source == source:
            raise SetupError(
                gettext("{username!r} is of {source} already").format(username=user.username, source=source)
            )
        if source == DATABASE:
            return accounts.set_source(user=user, source=source, actor=ACTOR)
        return move_person(user=user, source=source, actor=ACTOR)

    def _drop_second_factor(self, options: dict[str, Any]) -> User:
        user = named(options)
        if not second_factor.switch_off(user=user, actor=ACTOR):
            raise SetupError(gettext("{username!r} has no second factor").format(username=user.username))
        return user

    def _unlock(self, options: dict[str, Any]) -> User:
        user = named(options)
        lockout.unlock(user.username)
        second_factor.unlock(user)
        return user


def named(options: dict[str, Any]) -> User:
    username = options["username"]
    user = User.objects.living().filter(username=username).first()
    if user is None:
        raise SetupError(
            gettext("there is no user {username!r}. 'manage.py users list' shows all.").format(username=username)
        )
    return user


def given_password(options: dict[str, Any]) -> str:
    if options["password"] is not None:
        return str(options["password"])
    if not sys.stdin.isatty():
        return sys.stdin.readline().rstrip("\r\n")
    password = getpass.getpass(gettext("Password: "))
    if getpass.getpass(gettext("Again: ")) != password:
        raise SetupError(gettext("the two passwords differ"))
    return password


def shown(user: User) -> dict[str, Any]:
    """An account, by the names of the REST API."""
    return {
        "user_id": user.pk,
        "username": user.username,
        "email": user.email or "",
        "realname": user.realname,
        "comment": user.comment,
        "sysadmin_flag": user.sysadmin_flag,
        "disabled": not user.is_active,
        "source": user.source,
        "creation_time": user.creation_time.isoformat(),
    }
