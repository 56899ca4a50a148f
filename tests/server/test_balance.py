"""Sharing connections among the web processes."""

from __future__ import annotations

import time
from contextlib import ExitStack
from pathlib import Path

from harborsite.server.balance import PATIENCE, Board, Turn
from harborsite.server.processes import descendants
from tests.server.test_worker import Server, listens, start
from tests.services import free_port, running


def test_the_one_with_fewest_goes_first() -> None:
    board = Board()
    turns = [Turn(board, slot) for slot in range(3)]
    for slot, connections in enumerate((4, 2, 2)):
        board.write(slot, connections)
    assert [turn.has_come() for turn in turns] == [False, True, True]


def test_nobody_waits_long_for_a_process_that_does_not_come() -> None:
    board = Board()
    board.write(0, 5)
    board.write(1, 0)
    turn, began = Turn(board, 0), time.monotonic()
    while not turn.has_come():
        pass
    assert PATIENCE < time.monotonic() - began < 10 * PATIENCE
    board.clear(1)
    assert turn.has_come()


def test_connections_are_shared_by_the_processes(tmp_path: Path) -> None:
    port = free_port()
    with running(start(tmp_path, f"http_port = {port}", "workers = 2")) as process, ExitStack() as stack:
        process.wait_until(lambda: listens(port))
        server = Server(port, process)
        process.wait_until(lambda: len(descendants(process.process.pid)) == 2)
        time.sleep(0.5)  # both have begun
        clients = [stack.enter_context(server.raw()) for _ in range(20)]
        for client in clients:
            client.sendall(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
            assert client.recv(1000).endswith(b"ok")
        shares = [_connections(pid, port) for pid in descendants(process.process.pid)]
        assert sum(shares) == len(clients)
        assert min(shares) >= 3  # an even share, but for what a busy machine makes of it


def _connections(pid: int, port: int) -> int:
    """How many established connections to `port` the process holds."""
    inodes = set()
    for line in Path("/proc/net/tcp").read_text().splitlines()[1:]:
        _, local, _, state, *_, inode = line.split()[:10]
        if state == "01" and int(local.rpartition(":")[2], 16) == port:
            inodes.add(f"socket:[{inode}]")
    return sum(str(file.readlink()) in inodes for file in Path(f"/proc/{pid}/fd").iterdir() if file.is_symlink())
