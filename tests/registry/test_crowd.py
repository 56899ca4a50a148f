"""Many at once: pushing, pulling and deleting the same and different things."""

from __future__ import annotations

import threading

import pytest
from django.db import connection
from django.test import Client

from projects.models import Project, Quota
from projects.services import quotas
from tests.factories import client_for
from tests.images import image
from tests.registry import wire

PEOPLE, TURNS = 16, 3


@pytest.mark.django_db(transaction=True)
def test_nobody_is_refused_and_the_count_stays_true(library: Project) -> None:
    failures: list[str] = []

    def work(client: Client, number: int) -> None:
        repository, tag = f"library/app{number % 3}", f"v{number % 5}"
        for turn in range(TURNS):
            pushed = wire.push(client, f"{repository}:{tag}", image(f"image {(number + turn) % 4}", layers=2))
            pulled = wire.get_manifest(client, repository, tag)
            if pushed.status_code != 201 or pulled.status_code not in (200, 404):
                failures.append(f"{pushed.status_code} {pushed.content!r}, {pulled.status_code}")
            if number % 8 == 0:
                client.delete(f"/v2/{repository}/manifests/{pulled.get('Docker-Content-Digest', tag)}")
        connection.close()

    threads = [threading.Thread(target=work, args=(client_for(library.owner), number)) for number in range(PEOPLE)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not failures
    counted = Quota.objects.get(project=library).used
    assert quotas.recount(library).used == counted
