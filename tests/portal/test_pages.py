"""What the pages do: lists with their searching and paging, forms with their services."""

from __future__ import annotations

import re
from datetime import UTC, datetime
from typing import Any

import pytest
from django.test import Client

from audit.admin.details import details
from audit.models import AuditLog
from harborsite import __version__, config
from projects.models import Member, Project, Quota, User
from projects.permissions import Role
from projects.services.labels import create_label
from registry.models import Artifact, Repository, Tag
from registry.services.labels import add_label
from tests.factories import PASSWORD, make_project, make_user
from tests.portal.conftest import SignedIn
from tests.portal.sample import hold, make_artifact, make_index, make_repository, make_signature

MOST_QUERIES = 12


def test_a_project_is_made_by_the_form_and_belongs_to_its_maker(alice: User, signed_in: SignedIn) -> None:
    client = signed_in(alice)
    answer = client.post("/new-project/", {"name": "team-a", "public": "on"}, follow=True)
    assert answer.redirect_chain[-1][0] == "/projects/team-a/repositories/"
    assert "The project has been created." in answer.content.decode()
    project = Project.objects.get(name="team-a")
    assert project.public
    assert Member.objects.get(project=project, user=alice).role == Role.PROJECT_ADMIN
    assert AuditLog.objects.filter(username="alice", resource="team-a", operation="create").exists()


@pytest.mark.parametrize("name", ["", "UPPER", "a b", "library", "../x", "<script>"])
def test_a_refused_project_name_comes_back_with_the_reason(
    name: str, alice: User, library: Project, signed_in: SignedIn
) -> None:
    answer = signed_in(alice).post("/new-project/", {"name": name})
    assert answer.status_code == 200
    page = answer.content.decode()
    assert 'class="error"' in page or 'class="field-error"' in page
    assert "<script>" not in page


def test_only_administrators_choose_a_quota(admin: User, alice: User, signed_in: SignedIn) -> None:
    signed_in(alice).post("/new-project/", {"name": "small", "limit": "1", "unit": "GiB"})
    signed_in(admin).post("/new-project/", {"name": "big", "limit": "2", "unit": "GiB"})
    assert Project.objects.get(name="small").quota.hard == -1
    assert Project.objects.get(name="big").quota.hard == 2 * 1024**3


def test_members_are_added_changed_and_removed(alice: User, carol: User, library: Project, signed_in: SignedIn) -> None:
    client = signed_in(alice)
    address = "/projects/library/members/"
    client.post(address + "new/", {"username": "carol", "role": Role.GUEST})
    row = Member.objects.get(project=library, user=carol)
    own = Member.objects.get(project=library, user=alice)
    chosen = {"_selected_action": [row.pk, own.pk], "index": "0"}
    page = client.post(address, {"action": "set_role", "role": Role.DEVELOPER, **chosen}, follow=True).content.decode()
    row.refresh_from_db()
    assert row.role == Role.DEVELOPER
    assert "Nobody may change or remove their own membership." in page
    asked = client.post(address, {"action": "remove_chosen", **chosen})
    assert "Remove members?" in asked.content.decode()
    assert Member.objects.filter(pk=row.pk).exists()
    client.post(address, {"action": "remove_chosen", "_selected_action": [row.pk, own.pk], "confirmed": "yes"})
    assert not Member.objects.filter(pk=row.pk).exists()
    assert Member.objects.filter(pk=own.pk).exists()


def test_an_unknown_member_is_refused_by_name(alice: User, library: Project, signed_in: SignedIn) -> None:
    answer = signed_in(alice).post("/projects/library/members/new/", {"username": "ghost", "role": Role.GUEST})
    assert "There is no user ghost." in answer.content.decode()


def test_who_adds_a_member_is_offered_who_may_be_added(
    alice: User, library: Project, bob: User, signed_in: SignedIn
) -> None:
    """Ten names by their beginning: no members, no closed accounts, never the built-in administrator."""
    for name in ("Adam", "ada", "a_b", "axel", "a<b>"):
        make_user(name)
    make_user("ada-disabled", is_active=False)
    client = signed_in(alice)

    def offered(typed: str) -> list[str]:
        page = client.get("/projects/library/members/new/candidates/", {"username": typed}).content.decode()
        return re.findall('value="([^"]*)"', page)

    assert sorted(offered("ad")) == ["Adam", "ada"]
    assert offered("a_") == ["a_b"]
    assert offered("a<") == ["a&lt;b&gt;"]
    assert [offered(typed) for typed in ("alice", "bob", "admin", "dam", "%", "", "  ")] == [[]] * 7
    for number in range(12):
        make_user(f"many{number}")
    assert len(offered("many")) == 10


def test_users_are_administered(admin: User, signed_in: SignedIn) -> None:
    client = signed_in(admin)
    entered = {"username": "dora", "email": "dora@example.com", "new_password": PASSWORD, "confirmation": PASSWORD}
    client.post("/users/new/", entered)
    dora = User.objects.get(username="dora")
    assert Client().post("/login/", {"username": "dora", "password": PASSWORD}).status_code == 302
    client.post(f"/users/{dora.pk}/password/", {"new_password": "Other12345", "confirmation": "Other12345"})
    assert Client().post("/login/", {"username": "dora", "password": PASSWORD}).status_code == 200
    for action, attribute, value in (("grant", "sysadmin_flag", True), ("disable", "is_active", False)):
        client.post("/users/", {"action": action, "_selected_action": [dora.pk, admin.pk], "index": "0"})
        dora.refresh_from_db()
        assert getattr(dora, attribute) is value
    admin.refresh_from_db()
    assert admin.is_superuser
    client.post("/users/", {"action": "delete_chosen", "_selected_action": [dora.pk], "confirmed": "yes"})
    assert "dora@example.com" not in client.get("/users/").content.decode()


def test_a_weak_password_is_refused_with_the_rule(admin: User, signed_in: SignedIn) -> None:
    entered = {"username": "dora", "email": "dora@example.com", "new_password": "weak", "confirmation": "weak"}
    answer = signed_in(admin).post("/users/new/", entered)
    assert "at least 1 uppercase letter" in answer.content.decode()
    assert not User.objects.filter(username="dora").exists()


def test_an_index_stands_for_its_parts_in_the_list(alice: User, shelf: Repository, signed_in: SignedIn) -> None:
    client = signed_in(alice)
    page = client.get("/projects/library/repositories/shelf/").content.decode()
    assert "1–2 of 2" in page
    index = Tag.objects.get(repository=shelf, name="multi").artifact
    page = client.get(f"/projects/library/repositories/shelf@{index.digest}/").content.decode()
    assert "linux/arm64" in page
    assert "docker pull testserver/library/shelf:multi" in page


def test_artifacts_are_found_by_tag_and_by_digest(alice: User, shelf: Repository, signed_in: SignedIn) -> None:
    client = signed_in(alice)
    tag = Tag.objects.get(repository=shelf, name="latest")
    digest = tag.artifact.digest
    for text in ("latest", "LATE", digest, digest[7:20], digest[7:20].upper(), digest[3:15], f"late {digest[-12:]}"):
        page = client.get(f"/projects/library/repositories/shelf/?q={text}").content.decode()
        assert "1–1 of 1" in page, text
        assert digest in page


def test_what_people_wrote_is_never_markup(alice: User, library: Project, signed_in: SignedIn) -> None:
    evil = '<script>alert(1)</script><img src=x onerror=alert(1)>"'
    repository = make_repository(library, "evil", description=evil)
    artifact = make_artifact(
        repository, "1", annotations={evil: evil}, extra_attrs={"author": evil, "os": evil}, type="KIND"
    )
    client = signed_in(alice)
    for address in (
        "/projects/library/",
        "/projects/library/repositories/evil/",
        f"/projects/library/repositories/evil@{artifact.digest}/",
        f"/search/?q={evil}",
    ):
        page = client.get(address).content.decode()
        assert "<script>alert" not in page, address
        assert "<img src=x" not in page, address


@pytest.mark.parametrize(
    "address",
    [
        "/projects/",
        "/projects/library/",
        "/projects/library/repositories/",
        "/projects/library/repositories/shelf/",
        "/projects/library/members/",
        "/projects/library/logs/",
        "/logs/",
        "/search/?q=l",
    ],
)
def test_a_list_takes_few_queries_however_long_it_is(
    address: str,
    alice: User,
    library: Project,
    shelf: Repository,
    signed_in: SignedIn,
    django_assert_max_num_queries: Any,
) -> None:
    for number in range(20):
        make_project(f"more-{number}", alice)
        make_artifact(make_repository(library, f"r{number}"), *(f"t{tag}" for tag in range(5)))
        make_artifact(shelf, f"x{number}", f"y{number}")
    make_index(shelf, "again", platforms=("s390x", "riscv64"))
    client = signed_in(alice)
    client.get("/account/")  # notes in the session that somebody is there
    with django_assert_max_num_queries(MOST_QUERIES):
        assert client.get(address).status_code == 200


def test_the_page_size_is_chosen_from_a_list(alice: User, signed_in: SignedIn) -> None:
    for number in range(30):
        make_project(f"p{number:02}", alice)
    client = signed_in(alice)
    assert "1–15 of 30" in client.get("/projects/").content.decode()
    assert "1–25 of 30" in client.get("/projects/?page_size=25").content.decode()
    assert "1–15 of 30" in client.get("/projects/?page_size=100000").content.decode()
    assert "26–30 of 30" in client.get("/projects/?page_size=25&p=2").content.decode()


def test_the_log_of_all_projects_is_those_whose_log_one_may_read(
    alice: User, carol: User, admin: User, library: Project, signed_in: SignedIn
) -> None:
    signed_in(alice).post("/projects/library/members/new/", {"username": "carol", "role": Role.DEVELOPER})
    assert "carol" in signed_in(alice).get("/logs/").content.decode()
    assert "Nothing has been recorded yet." in signed_in(carol).get("/logs/").content.decode()
    assert 'class="mono">carol' in signed_in(admin).get("/logs/").content.decode()


def test_the_log_says_what_exactly_was_done(admin: User, alice: User, library: Project, signed_in: SignedIn) -> None:
    boss, owner = signed_in(admin), signed_in(alice)
    owner.post("/projects/library/members/new/", {"username": "admin", "role": Role.DEVELOPER})
    boss.post(f"/quotas/{library.quota.pk}/", {"limit": "5", "unit": "GiB"})
    chosen = {"_selected_action": [alice.pk], "index": "0"}
    boss.post("/users/", {"action": "grant", **chosen})
    boss.post("/users/", {"action": "disable", **chosen})
    page = boss.get("/logs/").content.decode()
    told = re.findall(r'class="field-told">(.*?)</td>', page)
    assert told[:4] == [
        "disabled",
        "made administrator",
        "without limit → 5.0 GiB",
        'Developer, <span class="mono">library</span>',
    ]


def test_what_a_record_tells_is_told_in_full_and_as_text() -> None:
    digest = "sha256:" + "a" * 64
    for data, text in (
        ({"digest": digest}, '<span class="mono">sha256:aaaaaaaa</span>'),
        ({"artifact": f"library/<b>@{digest}"}, '<span class="mono">library/&lt;b&gt;@sha256:aaaaaaaa</span>'),
        ({"change": "<b>"}, "&lt;b&gt;"),
        ({"manifests": 1, "blobs": 2, "bytes": 2048}, "1 manifest, 2 blobs, 2.0 KiB"),
        ({"faults": 2, "healed": 1, "set_aside": 1, "purged": 3}, "2 faults, 1 healed, 1 set aside, 3 removed"),
        ({"keys": ["auth_mode", "read_only"]}, '<span class="mono">auth_mode, read_only</span>'),
        ({"vendor_type": "REPLICATION", "execution": 3}, "Replication"),
        ({"unknown": 1}, ""),
    ):
        assert details(data) == text


def test_the_log_is_filtered_by_date_and_result(admin: User, library: Project, signed_in: SignedIn) -> None:
    for day in (1, 2, 3):
        when = datetime(2026, 5, day, 23, 30, tzinfo=UTC)
        row = AuditLog(username="x", operation="pull", resource_type="artifact", resource=f"library/day-{day}")
        row.op_time, row.successful = when, day != 3
        row.save()
    client = signed_in(admin)

    def days(query: str) -> str:
        page = client.get(f"/logs/{query}").content.decode()
        return "".join(str(day) for day in (1, 2, 3) if f"library/day-{day}<" in page)

    assert days("?from=2026-05-02") == "23"
    assert days("?to=2026-05-02") == "12"
    assert days("?from=2026-05-02&to=2026-05-02&operation=pull") == "2"
    assert days("?result=failure") == "3"
    assert days("?from=yesterday&to=9999-12-31") == "123"
    kept = client.get("/logs/?from=2026-05-02&operation=pull&q=day").content.decode()
    form = kept[kept.index('class="filter dates"') :]
    assert '<input type="hidden" name="operation" value="pull">' in form
    assert 'name="from" value="2026-05-02"' in form


def test_counting_stops_where_nobody_pages_any_more(
    alice: User, signed_in: SignedIn, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("harborsite.portal.pages.MOST_COUNTED", 20)
    for number in range(25):
        make_project(f"p{number:02}", alice)
    client = signed_in(alice)
    assert "1–15 of more than 20" in client.get("/projects/").content.decode()
    assert "16–20 of more than 20" in client.get("/projects/?p=2").content.decode()
    assert "page-sizes" in client.get("/projects/").content.decode()
    assert "page-sizes" not in client.get("/projects/?q=nothing-is-called-so").content.decode()
    assert "1–1 of 1" in client.get("/projects/?q=p24").content.decode()


def test_the_search_finds_tags_and_digests_that_one_may_see(
    alice: User, carol: User, shelf: Repository, signed_in: SignedIn
) -> None:
    digest = Tag.objects.get(repository=shelf, name="1.0").artifact.digest
    address = f"/projects/library/repositories/shelf@{digest}/"
    for text in ("1.0", "shelf:1.0", digest, digest[:20]):
        assert address in signed_in(alice).get("/search/", {"q": text}).content.decode(), text
        assert address not in signed_in(carol).get("/search/", {"q": text}).content.decode(), text
    assert address not in signed_in(alice).get("/search/", {"q": "other:1.0"}).content.decode()
    assert signed_in(alice).get("/search/", {"q": "a\0%_"}).status_code == 200


def test_the_projects_page_counts_what_its_visitor_may_see(
    alice: User, carol: User, library: Project, commons: Project, shelf: Repository, signed_in: SignedIn
) -> None:
    make_repository(commons, "tool")
    make_repository(library, "second")
    for who, projects, repositories in (
        (alice, "1 public, 1 private", "1 public, 2 private"),
        (carol, "1 public, 0 private", "1 public, 0 private"),
        (None, "1 public, 0 private", "1 public, 0 private"),
    ):
        page = signed_in(who).get("/projects/").content.decode()
        figures = page[page.index('class="figures"') : page.index("</dl>")]
        shown = re.findall(r"\d+ public, \d+ private", figures)
        assert shown == [projects, repositories]


def test_a_project_says_above_its_tabs_how_full_it_is_to_its_members(
    people: dict[str, User | None], commons: Project, signed_in: SignedIn
) -> None:
    for used, look in ((84, "badge"), (85, "badge warn"), (200, "badge warn")):
        Quota.objects.filter(project=commons).update(used=used * 1024**2, hard=100 * 1024**2)
        told = f'<span class="{look}">{used}'
        for who, person in people.items():
            for tab in ("", "repositories/"):
                page = signed_in(person).get(f"/projects/commons/{tab}").content.decode()
                assert (told in page) == (who not in {"stranger", "nobody"}), (who, tab, used)
    Quota.objects.filter(project=commons).update(hard=-1)
    assert "200 MiB of" not in signed_in(people["admin"]).get("/projects/commons/repositories/").content.decode()


def test_the_projects_page_adds_up_what_is_stored_where_its_visitor_has_a_role(
    admin: User, alice: User, carol: User, library: Project, commons: Project, signed_in: SignedIn
) -> None:
    carols = make_project("carols", carol)
    for project, used in ((library, 1), (commons, 2), (carols, 4)):
        Quota.objects.filter(project=project).update(used=used * 1024**2)
    mine = sum(used for project, used in ((library, 1), (commons, 2), (carols, 4)) if alice.roles_in(project))
    for who, told in ((admin, "7.0 MiB"), (alice, f"{mine}.0 MiB"), (carol, "4.0 MiB")):
        page = signed_in(who).get("/projects/").content.decode()
        assert f"<dt>Storage used</dt><dd>{told}</dd>" in page
    assert "Storage used" not in signed_in(None).get("/projects/").content.decode()


def test_the_version_is_for_people_with_an_account(alice: User, signed_in: SignedIn) -> None:
    assert f"<dd>{__version__}</dd>" in signed_in(alice).get("/about/").content.decode()
    visitor = signed_in(None).get("/about/").content.decode()
    assert __version__ not in visitor
    assert "Apache License" in visitor


def test_the_registry_certificate_is_offered_where_there_is_one(
    alice: User, library: Project, signed_in: SignedIn
) -> None:
    client, file = signed_in(alice), config.current().ca_file
    assert "getcert" not in client.get("/projects/library/repositories/").content.decode()
    file.parent.mkdir(exist_ok=True)
    file.write_text("-----BEGIN CERTIFICATE-----")
    try:
        assert "/api/v2.0/systeminfo/getcert" in client.get("/projects/library/repositories/").content.decode()
    finally:
        file.unlink()


def test_the_search_finds_labelled_artifacts_that_one_may_see(
    alice: User, carol: User, library: Project, shelf: Repository, signed_in: SignedIn
) -> None:
    label = create_label(name="golden", description="", color="#0065AB", actor=alice, project=library)
    for artifact in shelf.artifacts.filter(tags__name__in=["1.0", "multi"]):
        add_label(artifact=artifact, label_id=label.pk, actor=alice)
    link = f"/projects/library/repositories/shelf/?label={label.pk}"
    page = signed_in(alice).get("/search/?q=gold").content.decode()
    assert f'<a href="{link}">library/shelf</a></th><td data-title="Artifacts" class="number">2</td>' in page
    assert "1–2 of 2" in signed_in(alice).get(link).content.decode()
    assert "golden" not in signed_in(carol).get("/search/?q=gold").content.decode()


def test_storage_is_shown_as_own_shared_and_reclaimable(
    alice: User, library: Project, commons: Project, shelf: Repository, signed_in: SignedIn
) -> None:
    other = make_repository(commons, "tool")
    image = make_artifact(shelf, "own")
    mib = 1024**2
    hold(shelf, "own", 300 * mib, image)
    hold(shelf, "both", 100 * mib, image)
    hold(other, "both", 100 * mib, make_artifact(other, "1"))
    hold(shelf, "left over", 100 * mib)
    client = signed_in(alice)
    assert "/projects/library/storage/" in client.get("/projects/library/").content.decode()
    page = client.get("/projects/library/storage/").content.decode()
    numbers = re.findall(r'<td class="number">([^<]+)</td>', page)
    assert numbers[:8] == ["300 MiB", "60", "100 MiB", "20", "100 MiB", "20", "500 MiB", "100"]
    assert numbers[8] == "500 MiB"
    assert page.count("<circle") == 4
    assert 'stroke-dasharray="150.80 100.53"' in page, "the first arc is 60 % of the ring"


def test_an_empty_project_has_an_empty_storage_page(alice: User, library: Project, signed_in: SignedIn) -> None:
    assert "Nothing is stored yet." in signed_in(alice).get("/projects/library/storage/").content.decode()


def test_who_signed_an_artifact_is_shown_in_the_list_and_on_its_page(
    admin: User, shelf: Repository, signed_in: SignedIn
) -> None:
    """A part of a signed index is signed with it."""
    client, multi = signed_in(admin), shelf.artifacts.get(tags__name="multi")
    image, part = shelf.artifacts.get(tags__name="1.0"), shelf.artifacts.filter(tags=None).first()
    assert part

    def of_list(artifact: Artifact) -> list[str]:
        page = client.get("/projects/library/repositories/shelf/").content.decode()
        row = page[page.index(f'title="{artifact.digest}"') :]
        cell = row[row.index('class="field-signed"') :].partition("</td>")[0]
        return re.findall(r">(cosign|notation|–)<?", cell)

    def of_page(artifact: Artifact) -> list[str]:
        page = client.get(f"/projects/library/repositories/shelf@{artifact.digest}/").content.decode()
        return re.findall(r'<span class="badge role">(cosign|notation)</span>', page)

    assert (of_list(image), of_page(image)) == (["–"], [])
    make_signature(multi, "cosign")
    make_signature(image, "notation")
    make_signature(image, "cosign")
    assert (of_list(multi), of_page(multi), of_page(part)) == (["cosign"], ["cosign"], ["cosign"])
    assert of_list(image) == of_page(image) == ["cosign", "notation"]
