"""What is attached to an artifact: below its row, on its page, and deleted with or without it."""

from __future__ import annotations

import re

import pytest
from django.test import Client

from projects.models import Project, User
from registry.admin import accessories
from registry.models import Artifact, Repository, Tag
from tests.portal.conftest import SignedIn
from tests.portal.sample import make_artifact, make_signature

HERE = "/projects/library/repositories/shelf"
ASKED = {"HX-Request": "true"}


@pytest.fixture
def image(shelf: Repository) -> Artifact:
    return Tag.objects.get(repository=shelf, name="latest").artifact


def unfold(client: Client, subject: Artifact) -> str:
    answer = client.get(f"{HERE}@{subject.digest}/accessories/", headers=ASKED)
    assert answer.status_code == 200
    return str(answer.content.decode())


def test_a_row_unfolds_to_what_is_attached(alice: User, image: Artifact, signed_in: SignedIn) -> None:
    cosign = make_signature(image, "cosign")
    make_signature(image, "notation")
    make_signature(cosign, "notation")
    client = signed_in(alice)
    page = client.get(f"{HERE}/").content.decode()
    links = re.findall(r'<a class="unfold" href="([^"]*)" hx-get="([^"]*)"[^>]*aria-label="([^"]*)">(\d+)</a>', page)
    assert links == [
        (f"{HERE}@{image.digest}/#accessories", f"{HERE}@{image.digest}/accessories/", "2 accessories", "2")
    ]
    rows = unfold(client, image)
    shown = re.search(r'<td colspan="(\d+)">', rows)
    assert shown
    assert int(shown[1]) == len(re.findall(r'<th scope="col"', page)), "as wide as the list"
    assert rows.count("<tr>") == 1 + 2
    assert f'<a class="mono" href="{HERE}@{cosign.digest}/">' in rows
    assert "signature.notation" in rows
    assert "1 accessory" in rows, "what is attached to an accessory is a step away"
    assert f'data-copy="{cosign.digest}"' in rows


def test_without_script_the_link_leads_to_the_page(alice: User, image: Artifact, signed_in: SignedIn) -> None:
    make_signature(image, "cosign")
    answer = signed_in(alice).get(f"{HERE}@{image.digest}/accessories/")
    assert answer["Location"] == f"{HERE}@{image.digest}/#accessories"
    assert 'id="accessories"' in signed_in(alice).get(answer["Location"]).content.decode()


def test_a_row_unfolds_so_far_and_leads_to_the_rest(
    alice: User, image: Artifact, signed_in: SignedIn, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(accessories, "MOST", 2)
    for number in range(3):
        make_artifact(image.repository, seed=str(number), subject_digest=image.digest, accessory_type="sbom.harbor")
    rows = unfold(signed_in(alice), image)
    assert rows.count("<tr>") == 1 + 2
    assert f'href="{HERE}@{image.digest}/#accessories">All accessories' in rows


def test_an_accessory_is_deleted_after_a_question_by_who_may(
    alice: User, bob: User, image: Artifact, library: Project, signed_in: SignedIn
) -> None:
    signature = make_signature(image, "cosign")
    address = f"{HERE}@{signature.digest}/delete/"
    assert address in unfold(signed_in(alice), image)
    assert address not in unfold(signed_in(bob), image)
    for send in (signed_in(bob).get, signed_in(bob).post):
        assert send(address).status_code == 403
    question = signed_in(alice).get(address).content.decode()
    assert "Delete artifact?" in question
    assert signature.digest in question
    assert Artifact.objects.filter(pk=signature.pk).exists()
    answer = signed_in(alice).post(address, {"confirmed": "yes"}, follow=True)
    assert answer.redirect_chain == [(f"{HERE}@{image.digest}/", 302)]
    assert "1 deleted." in answer.content.decode()
    assert not Artifact.objects.filter(pk=signature.pk).exists()
    assert Artifact.objects.filter(pk=image.pk).exists()


def test_an_artifact_is_deleted_from_its_page_unless_an_index_lists_it(
    alice: User, image: Artifact, shelf: Repository, signed_in: SignedIn
) -> None:
    client = signed_in(alice)
    index = Tag.objects.get(repository=shelf, name="multi").artifact
    part = shelf.artifacts.get(digest=index.children.all()[0].digest)
    answer = client.post(f"{HERE}@{part.digest}/delete/", {"confirmed": "yes"}, follow=True)
    assert "An index still lists it" in answer.content.decode()
    assert Artifact.objects.filter(pk=part.pk).exists()
    assert f'href="{HERE}@{image.digest}/delete/"' in client.get(f"{HERE}@{image.digest}/").content.decode()
    make_signature(image, "cosign")
    answer = client.post(f"{HERE}@{image.digest}/delete/", {"confirmed": "yes"}, follow=True)
    assert answer.redirect_chain == [(f"{HERE}/", 302)]
    assert not shelf.artifacts.filter(subject_digest=image.digest).exists()
