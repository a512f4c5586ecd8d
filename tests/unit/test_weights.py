"""Named weights against a file server on loopback: resuming, hashes, Google Drive's page, no network."""

from __future__ import annotations

import hashlib
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import pytest

from pipeline import weights as named
from pipeline.commands.weights import get_weights, list_weights, where_weights
from pipeline.errors import ModelError
from pipeline.weights import Weights, fetch, registry, resolve, weights_from

CONTENT = bytes(range(256)) * 4096


class Server(ThreadingHTTPServer):
    """Serves ``files``; breaks off after ``break_after`` bytes; asks for confirmation at ``/uc`` as Google Drive does."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.files = {"/net.pth": CONTENT}
        self.tag = '"one"'
        self.break_after: int | None = None
        self.asked: list[tuple[str, str | None]] = []

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}"


class Handler(BaseHTTPRequestHandler):
    server: Server

    def do_GET(self) -> None:
        self.server.asked.append((self.path, self.headers.get("Range")))
        address = urlsplit(self.path)
        query = parse_qs(address.query)
        if address.path == "/uc":
            self._page(query["id"][0])
        elif address.path == "/download" and query.get("confirm") == ["t"] and query.get("uuid") == ["7"]:
            self._file(self.server.files["/net.pth"])
        elif address.path in self.server.files:
            self._file(self.server.files[address.path])
        else:
            self.send_error(404, "Not Found")

    def _page(self, file_id: str) -> None:
        form = (
            '<form id="download-form" action="/download" method="get">'
            f'<input type="hidden" name="id" value="{file_id}"><input type="hidden" name="confirm" value="t">'
            '<input type="hidden" name="uuid" value="7"><input type="submit" value="Download anyway"></form>'
        )
        text = f"<html>{form if file_id != 'quota' else 'Too many users have viewed it'}</html>".encode()
        self.send_response(200)
        self.send_header("Content-Type", "text/html; charset=utf-8")
        self.send_header("Content-Length", str(len(text)))
        self.end_headers()
        self.wfile.write(text)

    def _file(self, content: bytes) -> None:
        wanted, start = self.headers.get("Range"), 0
        if wanted and self.headers.get("If-Range") == self.server.tag:
            start = int(wanted.removeprefix("bytes=").rstrip("-"))
            if start >= len(content):
                self.send_error(416, "Range Not Satisfiable")
                return
            self.send_response(206)
            self.send_header("Content-Range", f"bytes {start}-{len(content) - 1}/{len(content)}")
        else:
            self.send_response(200)
        self.send_header("Content-Type", "application/octet-stream")
        self.send_header("Content-Length", str(len(content) - start))
        self.send_header("ETag", self.server.tag)
        self.end_headers()
        end = len(content) if self.server.break_after is None else start + self.server.break_after
        self.wfile.write(content[start:end])

    def log_message(self, *_: object) -> None:
        """Say nothing."""


@pytest.fixture
def server() -> Iterator[Server]:
    with Server() as running:
        thread = threading.Thread(target=running.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield running
        running.shutdown()
        thread.join()


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("CROSSCAM_CACHE", str(tmp_path / "cache"))
    monkeypatch.delenv("CROSSCAM_OFFLINE", raising=False)
    for name in ("http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY"):
        monkeypatch.delenv(name, raising=False)
    return tmp_path / "cache" / "weights"


def entry(server: Server, drive: bool = False, file_id: str = "abc", **hashes: object) -> Weights:
    where = {"drive": file_id} if drive else {"url": f"{server.url}/net.pth"}
    values = {
        "title": "a net",
        "role": "embedder",
        "backend": "torch",
        "licence": "MIT",
        "origin": "somebody",
        "files": [{"name": "net.pth", **where, **hashes}],
    }
    return weights_from("net", values, drive=server.url + "/uc?export=download&id={id}")


def test_a_named_network_comes_once(server: Server, cache: Path) -> None:
    net = entry(server, size=len(CONTENT), sha256=hashlib.sha256(CONTENT).hexdigest())
    assert fetch(net) == cache / "net.pth"
    assert (cache / "net.pth").read_bytes() == CONTENT
    fetch(net)
    assert len(server.asked) == 1
    assert sorted(path.name for path in cache.iterdir()) == ["checked.json", "net.pth"]


def test_progress_counts_the_bytes(server: Server) -> None:
    told: list[tuple[int, int | None]] = []
    fetch(entry(server), lambda name: lambda had, total: told.append((had, total)))
    assert told[0] == (0, len(CONTENT))
    assert told[-1] == (len(CONTENT), len(CONTENT))
    assert told == sorted(told)


def test_a_broken_download_goes_on_where_it_stopped(server: Server, cache: Path) -> None:
    net = entry(server, sha384=hashlib.sha384(CONTENT).hexdigest())
    server.break_after = 300_000
    with pytest.raises(ModelError, match=r"net\.pth cannot be downloaded: .*300000 .*Try again"):
        fetch(net)
    assert (cache / "net.pth.part").stat().st_size == 300_000
    server.break_after = None
    assert fetch(net).read_bytes() == CONTENT
    assert server.asked[1] == ("/net.pth", "bytes=300000-")


def test_a_file_that_changed_in_between_is_fetched_whole(server: Server) -> None:
    net = entry(server)
    server.break_after = 300_000
    with pytest.raises(ModelError):
        fetch(net)
    server.break_after, server.tag = None, '"two"'
    server.files["/net.pth"] = CONTENT[::-1]
    assert fetch(net).read_bytes() == CONTENT[::-1]


def test_a_part_that_is_longer_than_the_file_is_thrown_away(server: Server, cache: Path) -> None:
    cache.mkdir(parents=True)
    (cache / "net.pth.part").write_bytes(CONTENT + b"more")
    (cache / "net.pth.part.version").write_text(server.tag)
    assert fetch(entry(server)).read_bytes() == CONTENT


@pytest.mark.parametrize(
    ("hashes", "message"),
    [
        ({"size": 5}, f"has {len(CONTENT)} bytes, published are 5"),
        ({"sha256": "00" * 32}, "sha256 is .*, published is 0000"),
        ({"sha384": "00" * 48}, "sha384 is .*, published is 0000"),
        ({"sha256_prefix": "80ecf9dd"}, "sha256 is .*, published is one that begins with 80ecf9dd"),
    ],
)
def test_a_wrong_hash_is_refused_each_time(server: Server, hashes: dict[str, object], message: str) -> None:
    net = entry(server, **hashes)
    for _ in range(2):
        with pytest.raises(ModelError, match=rf"net\.pth: {message}.*delete it and try again.*http"):
            fetch(net)


def test_a_right_prefix_is_taken(server: Server) -> None:
    fetch(entry(server, sha256_prefix=hashlib.sha256(CONTENT).hexdigest()[:8].upper()))


def test_without_a_published_hash_the_first_download_is_trusted(server: Server, cache: Path) -> None:
    net = entry(server)
    fetch(net)
    (cache / "net.pth").write_bytes(CONTENT[:-1] + b"!")
    with pytest.raises(ModelError, match=r"at its first download it was [0-9a-f]{64}"):
        fetch(net)
    (cache / "net.pth").unlink()
    server.files["/net.pth"] = CONTENT[::-1]
    with pytest.raises(ModelError, match="at its first download it was"):
        fetch(net)


def test_google_drive_asks_for_confirmation(server: Server) -> None:
    assert fetch(entry(server, drive=True)).read_bytes() == CONTENT
    assert [path for path, _ in server.asked] == [
        "/uc?export=download&id=abc",
        "/download?id=abc&confirm=t&uuid=7",
    ]


def test_google_drive_resumes_after_its_page(server: Server) -> None:
    net = entry(server, drive=True)
    server.break_after = 100_000
    with pytest.raises(ModelError):
        fetch(net)
    server.break_after = None
    assert fetch(net).read_bytes() == CONTENT
    assert server.asked[-1][1] == "bytes=100000-"


def test_google_drive_over_its_quota(server: Server, cache: Path) -> None:
    with pytest.raises(
        ModelError, match="a web page came in place of the file; it may be gone or over its quota"
    ):
        fetch(entry(server, drive=True, file_id="quota"))
    assert not (cache / "net.pth").exists()


def test_a_missing_file_says_what_to_do(server: Server, cache: Path) -> None:
    server.files.clear()
    with pytest.raises(ModelError, match="the server answers 404 Not Found") as fault:
        fetch(entry(server))
    assert f"or fetch {server.url}/net.pth by other means and save it as {cache / 'net.pth'}" in str(
        fault.value
    )


def test_no_network(server: Server) -> None:
    net = entry(server)
    server.shutdown()
    server.server_close()
    with pytest.raises(ModelError, match=r"Connection refused\. Try again; or fetch http"):
        fetch(net)


def test_offline_asks_nobody(server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CROSSCAM_OFFLINE", "1")
    with pytest.raises(ModelError, match="not in the cache and CROSSCAM_OFFLINE is set; or fetch"):
        fetch(entry(server))
    assert server.asked == []


# -- names and paths


def test_every_entry_of_the_registry_is_whole() -> None:
    for name, one in registry().items():
        assert one.name == name
        assert one.licence
        assert one.files
        for file in one.files:
            assert file.url.startswith("https://"), file
            if file.sha384:
                assert len(file.sha384) == 96


def test_the_registry_knows_the_authors_networks() -> None:
    market = registry()["transreid-vit-market1501"]
    assert (
        market.files[0].url
        == "https://drive.google.com/uc?export=download&id=11p4RjmpCGGAS-876VEt7OoFrUeHTUlyO"
    )
    assert market.sie == {"cameras": 6, "views": 1}
    veri = registry()["transreid-deit-veri776"]
    assert veri.network == {"shift": 8, "num_cameras": 20, "num_views": 8}
    assert veri.form["mean"][0] == pytest.approx(255 * 0.485)
    assert registry()["vit-base-vehicleid"].sie == {}


def test_published_hashes_fit_the_real_files(shared_data: Path, cache: Path) -> None:
    source = shared_data / "weights" / "openvino"
    for name in ("person-reidentification-retail-0277", "pedestrian-detection-adas-0002"):
        for file in registry()[name].files:
            target = cache / file.name
            target.parent.mkdir(parents=True, exist_ok=True)
            target.symlink_to((source / file.name).resolve())
        assert resolve(name) == cache / name / f"{name}.xml"


def test_a_path_is_taken_as_it_is(tmp_path: Path) -> None:
    path = tmp_path / "own.onnx"
    path.write_bytes(b"")
    assert resolve(path) == path


def test_releases_of_ultralytics_are_left_to_it(cache: Path) -> None:
    assert resolve("yolo11n.pt") == cache / "yolo11n.pt"
    assert resolve("yolo26x") == cache / "yolo26x.pt"
    assert resolve("/somewhere/configs/yolov8s.pt") == cache / "yolov8s.pt"


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ("transreid-vit-market", "did you mean transreid-vit-market1501"),
        ("zzzz", "see `python -m pipeline weights list`"),
        ("nets/own.onnx", "nets/own.onnx: no such weights file"),
        ("own.pth", "own.pth: no such weights file"),
    ],
)
def test_what_is_not_there_is_named(given: str, message: str) -> None:
    with pytest.raises(ModelError, match=message):
        resolve(given)


def test_commands(server: Server, cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from rich.console import Console

    monkeypatch.setattr(named, "registry", lambda: {"net": entry(server)})
    console = Console(record=True, width=120)
    assert where_weights("net") == cache / "net.pth"
    assert not cache.exists(), "asking where downloads nothing"
    assert get_weights("net", console) == cache / "net.pth"
    list_weights(console)
    told = console.export_text()
    assert str(cache / "net.pth") in told.replace("\n", "")
    assert "CROSSCAM_CACHE" in told
