"""Sharing connections among the web processes."""

from __future__ import annotations

import time
from collections import Counter
from contextlib import ExitStack
from pathlib import Path

from harborsite.server.balance import PATIENCE, Board, Turn
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
    assert time.monotonic() - began > PATIENCE
    board.clear(1)
    assert turn.has_come()


def test_each_connection_goes_to_the_process_that_has_fewest(tmp_path: Path) -> None:
    port, connections = free_port(), Counter[bytes]()
    web = start(tmp_path, f"http_port = {port}", "workers = 2", patience=60)  # long even for a busy machine
    with running(web) as process, ExitStack() as stack:
        process.wait_until(lambda: listens(port))
        server = Server(port, process)
        while len(connections) < 2 or min(connections.values()) < 10:
            client = stack.enter_context(server.raw())
            client.sendall(b"GET /process HTTP/1.1\r\nHost: x\r\n\r\n")
            answerer = client.recv(1000).rpartition(b"\r\n")[2]
            if len(connections) == 2:  # both have begun
                assert connections[answerer] <= min(connections.values()) + 1  # one may still hold the first look
            connections[answerer] += 1
