"""Two nodes as docs/install.md has them: one database, one store, the same keys; each request may go to either."""

import shutil
from collections.abc import Iterator
from contextlib import ExitStack

import pytest

from tests import images, services
from tests.clients.registry import Registry

OCTETS = {"Content-Type": "application/octet-stream"}


@pytest.fixture(scope="module")
def nodes() -> Iterator[list[services.Site]]:
    with ExitStack() as stack:
        database = stack.enter_context(stack.enter_context(services.mariadb()).database())
        store = stack.enter_context(services.workspace("store"))
        nodes: list[services.Site] = []
        for number in range(2):
            directory = stack.enter_context(services.workspace(f"node{number}"))
            node = services.Site(directory, database, {})
            node.data.mkdir()
            (node.data / "registry").symlink_to(store)  # which stands for the mount
            if nodes:
                shutil.copytree(nodes[0].data / "secret", node.data / "secret")
            node.manage("prepare")
            node.start()
            stack.callback(node.server.stop, seconds=15)
            nodes.append(node)
        yield nodes


def test_an_image_is_pushed_to_both_and_pulled_from_either(nodes: list[services.Site]) -> None:
    one, two = (Registry(node.host, "admin", node.password) for node in nodes)
    image = images.image("nodes", layer_size=300_000)
    data = image.blobs[1].data
    upload = one.start_upload("library/nodes")
    two.expect(202, "PATCH", upload, data[:1000], OCTETS)
    one.expect(202, "PATCH", upload, data[1000:], OCTETS | {"Content-Range": f"1000-{len(data) - 1}"})
    two.expect(201, "PUT", two.closing(upload, data), b"")
    one.push("library/nodes", image, "1")
    two.assert_serves("library/nodes", "1", image)


def test_a_token_of_one_node_is_good_at_the_other(nodes: list[services.Site]) -> None:
    one, two = (Registry(node.host, "admin", node.password) for node in nodes)
    one.push("library/token", images.image("token"), "1")
    token = {"Authorization": f"Bearer {one.token('repository:library/token:pull')}", "Accept": "*/*"}
    stranger = Registry(two.host)
    stranger.expect(200, "GET", "/v2/library/token/manifests/1", None, token)
