"""The spool: order, bounds, restarts; and the thread that empties it, against a sink that fails on demand."""

from __future__ import annotations

import json
import logging
import sqlite3
import threading
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest

from pipeline.errors import ExportError
from pipeline.export.lines import dumps
from pipeline.sinks.delivery import Delivery
from pipeline.sinks.sink import DeliveryError, Message
from pipeline.sinks.spool import Spool

BIG = 10**9


def line(number: int, size: int = 0) -> bytes:
    return dumps({"type": "event", "number": number, "pad": "x" * size}).encode()


def numbers(messages: Sequence[Message]) -> list[int]:
    return [json.loads(message.body)["number"] for message in messages]


def test_records_come_out_in_order_with_their_number_in_front(tmp_path: Path):
    spool = Spool(tmp_path / "s.sqlite", BIG)
    for number in range(5):
        spool.append("k", line(number))
    first, second = spool.oldest(2)
    assert (first.seq, second.seq, first.key) == (1, 2, "k")
    assert first.body == b'{"seq":1,"type":"event","number":0,"pad":""}'
    spool.remove([first, second])
    assert numbers(spool.oldest(10)) == [2, 3, 4]
    assert len(spool) == 3


def test_what_waits_and_the_numbers_survive_a_restart(tmp_path: Path):
    spool = Spool(tmp_path / "s.sqlite", BIG)
    for number in range(3):
        spool.append("k", line(number))
    size = spool.size
    spool.close()
    again = Spool(tmp_path / "s.sqlite", BIG)
    assert (len(again), again.size) == (3, size)
    again.remove(again.oldest(3))
    assert (len(again), again.size) == (0, 0)
    again.close()
    third = Spool(tmp_path / "s.sqlite", BIG)
    third.append("k", line(3))
    assert third.oldest(1)[0].seq == 4, "an emptied spool does not begin at 1 again"


def test_a_full_spool_drops_the_oldest_and_counts(tmp_path: Path):
    spool = Spool(tmp_path / "s.sqlite", 10_000)
    for number in range(100):
        spool.append("k", line(number, 1000))
        assert spool.size <= 10_000
    kept = numbers(spool.oldest(1000))
    assert kept == list(range(100 - len(kept), 100))
    assert spool.dropped == 100 - len(kept) > 80
    assert (tmp_path / "s.sqlite").stat().st_size < 200_000, "the file is bounded too"


def test_dropped_while_under_way_but_delivered_is_not_lost(tmp_path: Path):
    spool = Spool(tmp_path / "s.sqlite", 3500)
    for number in range(3):
        spool.append("k", line(number, 1000))
    under_way = spool.oldest(2)
    spool.append("k", line(3, 1000))
    assert spool.dropped == 1
    spool.remove(under_way)
    assert (spool.dropped, numbers(spool.oldest(9))) == (0, [2, 3])


def test_what_is_no_spool_is_named(tmp_path: Path):
    (tmp_path / "s.sqlite").write_bytes(b"no database at all" * 100)
    with pytest.raises(ExportError, match=r"s\.sqlite: cannot be used as a spool"):
        Spool(tmp_path / "s.sqlite", BIG)


class Moody:
    """Fails while ``down``; remembers what it got."""

    def __init__(self) -> None:
        self.down = False
        self.got: list[Message] = []
        self.closed = False
        self.gate = threading.Event()
        self.gate.set()

    def send(self, messages: Sequence[Message]) -> None:
        self.gate.wait(5)
        if self.down:
            self.got += messages[:1]  # part of it arrived, nobody knows
            raise DeliveryError("no route to rtsp://***@host")
        self.got += messages

    def close(self) -> None:
        self.closed = True


@pytest.fixture
def delivery(tmp_path: Path) -> Callable[..., tuple[Delivery, Moody]]:
    def make(max_bytes: int = BIG) -> tuple[Delivery, Moody]:
        sink = Moody()
        made = Delivery("m", sink, Spool(tmp_path / "m.sqlite", max_bytes), ["event"], 10, 0.2)
        made.start()
        return made, sink

    return make


def told(delivery: Delivery, numbers: range) -> None:
    for number in numbers:
        delivery.take({"type": "event", "global_id": number % 3}, line(number))
    delivery.take({"type": "frame", "camera": "a"}, line(-1))


def until(condition: Callable[[], bool]) -> None:
    end = time.monotonic() + 10
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.01)


def test_an_outage_loses_nothing_and_keeps_the_order(
    delivery: Callable[..., tuple[Delivery, Moody]],
    caplog: pytest.LogCaptureFixture,
):
    caplog.set_level(logging.INFO, logger="pipeline")
    made, sink = delivery()
    told(made, range(20))
    until(lambda: made.status().sent == 20)
    sink.down = True
    told(made, range(20, 120))
    until(lambda: made.status().failures >= 2)
    assert not made.status().is_up
    assert made.status().waiting == 100
    sink.down = False
    until(lambda: made.status().sent == 120)
    once = list(dict.fromkeys(numbers(sink.got)))
    assert once == list(range(120)), "in order, nothing missing; what came twice has one number"
    assert len({message.seq for message in sink.got}) == 120
    assert {message.key for message in sink.got} == {"0", "1", "2"}
    made.close()
    assert sink.closed
    assert sum("cannot deliver" in entry.message for entry in caplog.records) == 1, (
        "told once, not every second"
    )
    assert any("delivering again" in entry.message for entry in caplog.records)


def test_what_a_broker_misses_waits_for_the_next_run(delivery: Callable[..., tuple[Delivery, Moody]]):
    made, sink = delivery()
    sink.down = True
    told(made, range(7))
    began = time.monotonic()
    made.close(flush_s=3)
    assert time.monotonic() - began < 3.5
    again, fresh = delivery()
    until(lambda: again.status().sent == 7)
    assert numbers(fresh.got) == list(range(7))
    again.close()


def test_closing_gets_out_what_was_just_taken(delivery: Callable[..., tuple[Delivery, Moody]]):
    made, sink = delivery()
    told(made, range(500))
    made.close()
    assert numbers(sink.got) == list(range(500))


def test_a_hanging_broker_does_not_hold_up_the_end_nor_the_run(
    delivery: Callable[..., tuple[Delivery, Moody]],
):
    made, sink = delivery()
    sink.gate.clear()
    began = time.monotonic()
    told(made, range(50))
    made.close(flush_s=0.3)
    assert time.monotonic() - began < 2
    sink.gate.set()


def test_a_disk_that_refuses_costs_records_not_the_run(
    delivery: Callable[..., tuple[Delivery, Moody]], monkeypatch: pytest.MonkeyPatch
):
    made, _ = delivery()

    def full(*_: object) -> None:
        raise ExportError("database or disk is full")

    monkeypatch.setattr(Spool, "append", full)
    told(made, range(3))
    assert made.status().dropped == 3
    made.close()


def test_the_spool_is_plain_sqlite_that_people_can_look_into(tmp_path: Path):
    spool = Spool(tmp_path / "s.sqlite", BIG)
    spool.append("k", line(0))
    spool.close()
    with sqlite3.connect(tmp_path / "s.sqlite") as connection:
        assert connection.execute("SELECT seq, key FROM message").fetchall() == [(1, "k")]
