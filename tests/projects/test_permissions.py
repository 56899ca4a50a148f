"""The role table, cell by cell, against Harbor's as it is written down here a second time."""

from __future__ import annotations

import pytest

from harborsite.principal import Anonymous
from projects.models import Project, User
from projects.permissions import (
    GRANTABLE_PROJECT,
    GRANTABLE_SYSTEM,
    PROJECT_ACTIONS,
    ROLE_ACTIONS,
    SCANNER_PULL,
    Role,
    actions_for,
    can,
    can_system,
    highest_role,
)
from tests.factories import add, grant, make_robot

# resource: what project admin | maintainer | developer | guest | limited guest | everybody, if public, may do
# (c create, r read, u update, d delete, l list, p pull, w push, o operate, s stop)
HARBOR = """
project             rud     | r       | r       | r   | r   | r
member              crudl   | rl      | rl      | rl  | -   | -
metadata            crud    | r       | -       | -   | -   | -
log                 l       | -       | -       | -   | -   | -
label               crudl   | crudl   | rl      | rl  | -   | rl
quota               r       | r       | r       | r   | r   | -
repository          crudlpw | crudlpw | crulpw  | rlp | rlp | lp
tag-retention       crudlo  | crudlo  | crudlo  | -   | -   | -
immutable-tag       cudl    | cudl    | -       | -   | -   | -
configuration       ru      | r       | r       | r   | r   | -
robot               crudl   | rl      | rl      | rl  | -   | -
notification-policy crudl   | rl      | -       | -   | -   | -
scan                crs     | crs     | r       | r   | r   | r
sbom                crs     | crs     | r       | r   | r   | -
scanner             cr      | r       | r       | r   | r   | r
artifact            crdl    | crdl    | crl     | rl  | rl  | rl
artifact-addition   r       | r       | r       | r   | r   | r
tag                 cdl     | cdl     | cl      | l   | l   | l
accessory           l       | l       | l       | l   | l   | l
artifact-label      cd      | cd      | cd      | -   | -   | -
preheat-policy      crudl   | -       | -       | -   | -   | -
export-cve          crl     | crl     | crl     | -   | -   | -
"""
VERBS = {
    "c": "create",
    "r": "read",
    "u": "update",
    "d": "delete",
    "l": "list",
    "p": "pull",
    "w": "push",
    "o": "operate",
    "s": "stop",
}
COLUMNS = (Role.PROJECT_ADMIN, Role.MAINTAINER, Role.DEVELOPER, Role.GUEST, Role.LIMITED_GUEST, None)
LINES = [line.split(maxsplit=1) for line in HARBOR.strip().splitlines()]
TABLE = {
    (role, f"{resource}:{verb}"): letter in cell
    for resource, cells in LINES
    for role, cell in zip(COLUMNS, cells.split("|"), strict=True)
    for letter, verb in VERBS.items()
}
ACTIONS = sorted({action for _, action in TABLE})


@pytest.mark.parametrize("action", ACTIONS)
@pytest.mark.parametrize("role", list(Role), ids=lambda role: role.wire_name)
def test_a_role_holds_exactly_what_harbors_table_says(role: Role, action: str) -> None:
    assert (action in ROLE_ACTIONS[role]) is TABLE[role, action]


def test_no_role_holds_anything_that_is_not_in_the_table() -> None:
    assert {action for actions in ROLE_ACTIONS.values() for action in actions} <= set(ACTIONS)
    assert {*ACTIONS, "metadata:list"} >= PROJECT_ACTIONS
    assert set(ROLE_ACTIONS) == set(Role)


def test_everybody_may_do_in_a_public_project_what_the_table_says(
    commons: Project, library: Project, carol: User
) -> None:
    for who in (Anonymous(), carol, make_robot("outsider")):
        assert {action for action in ACTIONS if can(who, action, commons)} == {a for a in ACTIONS if TABLE[None, a]}
        assert not actions_for(who, library), "nothing in a private one"


@pytest.mark.parametrize("role", list(Role), ids=lambda role: role.wire_name)
def test_a_member_of_a_public_project_has_both(role: Role, commons: Project, carol: User) -> None:
    add(commons, carol, role)
    held = {action for action in ACTIONS if TABLE[role, action] or TABLE[None, action]}
    assert actions_for(carol, commons) == held


def test_an_administrator_may_do_everything_but_what_scanners_may(library: Project, admin: User) -> None:
    held = {action for _, action in TABLE if any(TABLE[role, action] for role in Role)}
    assert actions_for(admin, library) == held | {"metadata:list"}
    assert not can(admin, SCANNER_PULL, library)
    assert can_system(admin, "catalog:read")


def test_a_disabled_administrator_may_do_nothing(library: Project, admin: User) -> None:
    admin.is_active = False
    assert not actions_for(admin, library)
    assert not can_system(admin, "catalog:read")


def test_a_robot_account_may_do_what_it_was_given_where_it_was_given(library: Project, alice: User) -> None:
    elsewhere = Project.objects.create(name="elsewhere", owner=alice)
    one = make_robot("one", grant("library", "repository:pull", "tag:list"))
    every = make_robot("every", grant("*", "repository:push"), grant("/", "catalog:read", kind="system"))
    assert actions_for(one, library) == {"repository:pull", "tag:list"}
    assert not actions_for(one, elsewhere)
    assert actions_for(every, elsewhere) == actions_for(every, library) == {"repository:push"}
    assert (can_system(every, "catalog:read"), can_system(one, "catalog:read")) == (True, False)
    assert list(Project.objects.visible_to(one)) == [library]
    assert set(Project.objects.visible_to(every)) == {library, elsewhere}


def test_a_project_name_is_no_pattern(alice: User) -> None:
    """`a_b` once stood for `axb` in a query of another registry, and gave away its robot accounts."""
    ours, theirs = (Project.objects.create(name=name, owner=alice) for name in ("a_b", "axb"))
    robot = make_robot("ci", grant("a_b", "repository:pull"))
    assert actions_for(robot, ours) == {"repository:pull"}
    assert not actions_for(robot, theirs)
    assert list(Project.objects.visible_to(robot)) == [ours]


def test_what_no_robot_account_can_be_given() -> None:
    grantable = {f"{resource}:{verb}" for resource, verbs in GRANTABLE_PROJECT.items() for verb in verbs.split()}
    grantable_system = {f"{resource}:{verb}" for resource, verbs in GRANTABLE_SYSTEM.items() for verb in verbs.split()}
    assert grantable <= PROJECT_ACTIONS
    refused = {"robot:update", "tag-retention:operate", "repository:create", "export-cve:list", SCANNER_PULL}
    assert not refused & grantable
    assert not any(action.startswith("configuration:") for action in grantable | grantable_system)
    assert "robot:update" not in grantable_system


def test_the_highest_of_several_roles_is_shown() -> None:
    order = [Role.PROJECT_ADMIN, Role.MAINTAINER, Role.DEVELOPER, Role.GUEST, Role.LIMITED_GUEST]
    for position, role in enumerate(order):
        assert highest_role(set(order[position:])) == role
    assert highest_role(set()) == 0
