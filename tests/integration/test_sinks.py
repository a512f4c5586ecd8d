"""Every sink against the real other side: broker down for a while, then up; nothing lost, order kept, one schema."""

from __future__ import annotations

import contextlib
import json
import shutil
import socket
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from pipeline.config import SinkConfig
from pipeline.export.lines import dumps
from pipeline.sinks.delivery import Delivery
from pipeline.sinks.opening import open_deliveries


def free_port() -> int:
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return int(one.getsockname()[1])


def until(condition: Callable[[], bool], seconds: float = 30) -> None:
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "did not come about in time"
        time.sleep(0.02)


def answers(port: int) -> bool:
    with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), 1):
        return True
    return False


def opened(output: Path, **settings: Any) -> Delivery:
    config = SinkConfig(timeout_s=2.0, max_backoff_s=0.5, **settings)
    (delivery,) = open_deliveries([config], output)
    delivery.start()
    return delivery


def tell(delivery: Delivery, numbers: range) -> None:
    for number in numbers:
        record = {"type": "event", "global_id": number % 5, "number": number}
        delivery.take(record, dumps(record).encode())


def through_an_outage(delivery: Delivery, down: Callable[[], None], up: Callable[[], None]) -> None:
    """40 records with the broker up, 300 with it down, 20 after."""
    tell(delivery, range(40))
    until(lambda: delivery.status().sent == 40)
    down()
    tell(delivery, range(40, 340))
    until(lambda: delivery.status().failures >= 2)
    assert delivery.status().waiting == 300
    up()
    tell(delivery, range(340, 360))
    until(lambda: delivery.status().waiting == 0)
    assert delivery.status().dropped == 0


def assert_whole(records: list[dict[str, Any]], count: int = 360) -> None:
    """Every record there, in order once those that came twice are left out by their number."""
    once = {record["seq"]: record for record in records}
    assert [once[seq]["number"] for seq in sorted(once)] == list(range(count))
    first_seen = list(dict.fromkeys(record["seq"] for record in records))
    assert first_seen == sorted(first_seen)


class Broker:
    """A server program that can be stopped and started again on the same port."""

    def __init__(self, command: list[str], port: int, folder: Path) -> None:
        self._command, self.port, self._folder = command, port, folder
        self._process: subprocess.Popen[bytes] | None = None

    def up(self) -> None:
        quiet = subprocess.DEVNULL
        self._process = subprocess.Popen(self._command, cwd=self._folder, stdout=quiet, stderr=quiet)
        until(lambda: answers(self.port))

    def down(self) -> None:
        if self._process is not None:
            self._process.terminate()
            try:
                self._process.wait(5)
            except subprocess.TimeoutExpired:  # told to stop before it listened for signals
                self._process.kill()
                self._process.wait(5)
            self._process = None


# -- MQTT


@pytest.fixture
def mosquitto(tmp_path: Path) -> Iterator[Broker]:
    program = shutil.which("mosquitto", path="/usr/local/sbin:/usr/sbin:/sbin:/usr/local/bin:/usr/bin:/bin")
    if program is None:
        pytest.skip("mosquitto is not installed (Debian: apt-get install mosquitto)")
    port = free_port()
    (tmp_path / "passwords").touch(mode=0o600)
    (tmp_path / "mosquitto.conf").write_text(
        f"listener {port} 127.0.0.1\nallow_anonymous true\npersistence true\npersistence_location {tmp_path}/\n"
        f"max_queued_messages 0\nuser {_user()}\n"
    )
    broker = Broker([program, "-c", str(tmp_path / "mosquitto.conf")], port, tmp_path)
    broker.up()
    yield broker
    broker.down()


def _user() -> str:
    import getpass

    return getpass.getuser()


def test_mqtt(mosquitto: Broker, tmp_path: Path):
    mqtt = pytest.importorskip("paho.mqtt.client")
    got: list[dict[str, Any]] = []
    subscribed = threading.Event()
    watcher = mqtt.Client(mqtt.CallbackAPIVersion.VERSION2, client_id="watcher", clean_session=False)
    watcher.on_message = lambda _c, _d, message: got.append(json.loads(message.payload))
    watcher.on_subscribe = lambda *_: subscribed.set()
    watcher.reconnect_delay_set(1, 1)
    watcher.connect("127.0.0.1", mosquitto.port)
    watcher.subscribe("site/people", qos=1)
    watcher.loop_start()
    assert subscribed.wait(10)
    delivery = opened(tmp_path, kind="mqtt", url=f"mqtt://127.0.0.1:{mosquitto.port}", topic="site/people")
    through_an_outage(delivery, mosquitto.down, mosquitto.up)
    until(lambda: len({record["seq"] for record in got}) == 360)
    delivery.close()
    watcher.disconnect()
    watcher.loop_stop()
    assert_whole(got)


def test_mqtt_refused_password_is_told_and_masked(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, mosquitto: Broker
):
    mosquitto.down()
    conf = tmp_path / "mosquitto.conf"
    conf.write_text(
        conf.read_text().replace(
            "allow_anonymous true", f"allow_anonymous false\npassword_file {tmp_path}/passwords"
        )
    )
    mosquitto.up()
    delivery = opened(tmp_path, kind="mqtt", url=f"mqtt://me:s3cret@127.0.0.1:{mosquitto.port}")
    tell(delivery, range(1))
    until(lambda: delivery.status().failures > 0)
    delivery.close()
    assert delivery.status().waiting == 1
    assert "s3cret" not in caplog.text


# -- Redis


@pytest.fixture
def redis_server(tmp_path: Path) -> Iterator[Broker]:
    program = shutil.which("redis-server")
    if program is None:
        pytest.skip("redis-server is not installed (Debian: apt-get install redis-server)")
    port = free_port()
    command = [
        program,
        "--port",
        str(port),
        "--bind",
        "127.0.0.1",
        "--dir",
        str(tmp_path),
        "--appendonly",
        "yes",
    ]
    broker = Broker([*command, "--appendfsync", "always"], port, tmp_path)
    broker.up()
    yield broker
    broker.down()


def test_redis_streams(redis_server: Broker, tmp_path: Path):
    redis = pytest.importorskip("redis")
    url = f"redis://127.0.0.1:{redis_server.port}/0"
    delivery = opened(tmp_path, kind="redis", url=url, topic="people")
    through_an_outage(delivery, redis_server.down, redis_server.up)
    delivery.close()
    entries = redis.Redis.from_url(url).xrange("people")
    records = [json.loads(fields[b"record"]) for _, fields in entries]
    assert [int(fields[b"seq"]) for _, fields in entries] == [record["seq"] for record in records]
    assert_whole(records)
    assert len(records) == 360, "a batch is a transaction: nothing comes twice"


def test_a_redis_stream_keeps_a_bounded_length(redis_server: Broker, tmp_path: Path):
    redis = pytest.importorskip("redis")
    url = f"redis://127.0.0.1:{redis_server.port}/0"
    delivery = opened(tmp_path, kind="redis", url=url, topic="people", max_length=50)
    tell(delivery, range(600))
    until(lambda: delivery.status().waiting == 0)
    delivery.close()
    assert redis.Redis.from_url(url).xlen("people") < 300, "trimmed about, as Redis does it cheaply"


# -- Kafka: no broker is packaged for Debian; librdkafka brings one that speaks the real protocol over real sockets


class Gate:
    """A TCP relay that can be shut: what stands before the Kafka cluster."""

    def __init__(self, target: int) -> None:
        self.port = free_port()
        self._target = target
        self._listener: socket.socket | None = None
        self._open: list[socket.socket] = []

    def up(self) -> None:
        self._listener = socket.create_server(("127.0.0.1", self.port))
        threading.Thread(target=self._accept, args=(self._listener,), daemon=True).start()

    def _accept(self, listener: socket.socket) -> None:
        with contextlib.suppress(OSError):
            while True:
                near, _ = listener.accept()
                far = socket.create_connection(("127.0.0.1", self._target))
                self._open += [near, far]
                for one, other in ((near, far), (far, near)):
                    threading.Thread(target=self._relay, args=(one, other), daemon=True).start()

    def _relay(self, one: socket.socket, other: socket.socket) -> None:
        with contextlib.suppress(OSError):
            while data := one.recv(65536):
                other.sendall(data)
        with contextlib.suppress(OSError):
            other.shutdown(socket.SHUT_RDWR)

    def down(self) -> None:
        if self._listener is not None:
            self._listener.close()
        for one in self._open:
            with contextlib.suppress(OSError):
                one.shutdown(socket.SHUT_RDWR)


def test_kafka(tmp_path: Path):
    kafka = pytest.importorskip("confluent_kafka")
    cluster = kafka.Producer({"bootstrap.servers": "unused", "test.mock.num.brokers": 1, "log_level": 0})
    (address,) = [str(broker) for broker in cluster.list_topics(timeout=10).brokers.values()]
    real = int(address.split(":")[-1].split("/")[0])
    gate = Gate(real)
    delivery = opened(tmp_path, kind="kafka", url=f"kafka://127.0.0.1:{gate.port}", topic="people")
    tell(delivery, range(340))
    until(lambda: delivery.status().failures >= 2)
    assert delivery.status().waiting == 340
    gate.up()
    tell(delivery, range(340, 360))
    until(lambda: delivery.status().waiting == 0)
    delivery.close()
    assert delivery.status().dropped == 0
    records = _consumed(kafka, f"127.0.0.1:{real}", 360)
    assert {record["seq"] for record in records} == set(range(1, 361))
    for identity in range(5):
        mine = [record["seq"] for record in records if record["global_id"] == identity]
        assert list(dict.fromkeys(mine)) == sorted(set(mine)), "in order for each identity"


def _consumed(kafka: Any, servers: str, count: int) -> list[dict[str, Any]]:
    reader = kafka.Consumer({"bootstrap.servers": servers, "group.id": "g", "auto.offset.reset": "earliest"})
    reader.subscribe(["people"])
    records: list[dict[str, Any]] = []
    end = time.monotonic() + 30
    while len({record["seq"] for record in records}) < count and time.monotonic() < end:
        message = reader.poll(1.0)
        if message is not None and not message.error():
            records.append(json.loads(message.value()))
    reader.close()
    return records


# -- webhooks


class Hook:
    """An HTTP server that answers what it is told to."""

    def __init__(self) -> None:
        self.port = free_port()
        self.status = 200
        self.records: list[dict[str, Any]] = []
        self.headers: list[dict[str, str]] = []
        self._server: ThreadingHTTPServer | None = None

    def up(self) -> None:
        hook = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"]))
                if hook.status == 200:
                    hook.records += [json.loads(line) for line in body.splitlines()]
                    hook.headers.append(dict(self.headers))
                self.send_response(hook.status)
                self.send_header("Content-Length", "0")
                self.end_headers()

            def log_message(self, *_: Any) -> None:
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", self.port), Handler)
        threading.Thread(target=self._server.serve_forever, daemon=True).start()

    def down(self) -> None:
        if self._server is not None:
            self._server.shutdown()
            self._server.server_close()
            self._server = None


@pytest.fixture
def hook() -> Iterator[Hook]:
    pytest.importorskip("httpx")
    one = Hook()
    one.up()
    yield one
    one.down()


def test_webhook(hook: Hook, tmp_path: Path):
    url = f"http://127.0.0.1:{hook.port}/events?token=s3cret"
    delivery = opened(tmp_path, kind="webhook", url=url, headers={"Authorization": "Bearer abc"})
    through_an_outage(delivery, hook.down, hook.up)
    delivery.close()
    assert_whole(hook.records)
    assert hook.headers[0]["Authorization"] == "Bearer abc"
    assert hook.headers[0]["Content-Type"] == "application/x-ndjson"


def test_a_webhook_that_answers_with_an_error_is_asked_again(hook: Hook, tmp_path: Path):
    hook.status = 503
    delivery = opened(tmp_path, kind="webhook", url=f"http://127.0.0.1:{hook.port}/")
    tell(delivery, range(30))
    until(lambda: delivery.status().failures >= 2)
    hook.status = 200
    until(lambda: delivery.status().waiting == 0)
    delivery.close()
    assert_whole(hook.records, 30)
