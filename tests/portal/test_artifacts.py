"""What the page of an artifact offers beside each of its tags."""

from __future__ import annotations

import re

from projects.models import User
from registry.models import Repository, Tag
from tests.portal.conftest import SignedIn
from tests.portal.sample import make_artifact

HERE = "/projects/library/repositories/shelf"


def test_tags_are_searched_on_the_page_of_an_artifact(alice: User, shelf: Repository, signed_in: SignedIn) -> None:
    many = make_artifact(shelf, *(f"v{number}" for number in range(12)))
    page, client = f"{HERE}@{many.digest}/", signed_in(alice)
    assert client.get(page).content.decode().count('<span class="tag">') == 12
    found = client.get(page, {"tag": "V1"}).content.decode()
    assert set(re.findall(r'<span class="tag">([^<]+)<', found)) == {"v1", "v10", "v11"}
    assert 'Tags <span class="count">12<' in found
    assert 'data-copy="docker pull testserver/library/shelf:v10"' in found
    assert "Nothing matches the filter." in client.get(page, {"tag": "nothing"}).content.decode()
    few = Tag.objects.get(repository=shelf, name="latest").artifact
    assert 'name="tag"' not in client.get(f"{HERE}@{few.digest}/").content.decode()


def test_from_an_image_the_way_leads_back_to_its_index(alice: User, shelf: Repository, signed_in: SignedIn) -> None:
    index = Tag.objects.get(repository=shelf, name="multi").artifact
    part, client = index.children.all()[0].digest, signed_in(alice)
    back = f'<li><a href="{HERE}@{index.digest}/">{index.digest[:15]}</a></li><li>{part[:15]}</li>'
    assert back in client.get(f"{HERE}@{part}/").content.decode()
    assert (
        f'<li><a href="{HERE}/">shelf</a></li><li>{index.digest[:15]}</li>'
        in client.get(f"{HERE}@{index.digest}/").content.decode()
    )
