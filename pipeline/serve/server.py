"""``/healthz``, ``/readyz`` and ``/metrics`` over plain HTTP, in a thread of its own."""

from __future__ import annotations

import hmac
import json
import logging
import socket
import threading
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from pipeline.config import ServeConfig
from pipeline.errors import ConfigError

REQUEST_S = 5.0

log = logging.getLogger(__name__)

Answer = tuple[int, str, bytes]
Route = Callable[[], Answer]


class StatusServer:
    """Serves until it is closed; a request can neither hold up the run nor stay open for long.

    ``/healthz`` and ``/readyz`` say one word to anybody; ``/metrics`` names cameras, so where there is a token it is
    asked for.

    Args:
        fault, not_ready: the reason, or None.
        metrics: the text of ``/metrics``.

    Raises:
        ConfigError: the address cannot be listened on.
    """

    def __init__(
        self,
        settings: ServeConfig,
        fault: Callable[[], str | None],
        not_ready: Callable[[], str | None],
        metrics: Callable[[], bytes],
    ) -> None:
        routes: dict[str, Route] = {
            "/healthz": lambda: _verdict(fault()),
            "/readyz": lambda: _verdict(not_ready()),
            "/metrics": lambda: (200, "text/plain; version=0.0.4; charset=utf-8", metrics()),
        }
        try:
            self._server = _Server(settings, routes)
        except OSError as error:
            where = f"{settings.host}:{settings.port}"
            raise ConfigError(f"serve: {where} cannot be listened on: {error.strerror or error}") from error
        self.port: int = self._server.server_address[1]
        self._thread = threading.Thread(
            target=self._server.serve_forever, args=(0.2,), name="serve", daemon=True
        )
        self._thread.start()
        log.info("metrics at http://%s:%d/metrics", settings.host, self.port)

    def close(self) -> None:
        """Stop listening."""
        self._server.shutdown()
        self._server.server_close()
        self._thread.join(2.0)


def _verdict(reason: str | None) -> Answer:
    said = {"status": "ok"} if reason is None else {"status": "unavailable", "reason": reason}
    return 200 if reason is None else 503, "application/json", json.dumps(said).encode() + b"\n"


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    block_on_close = False

    def __init__(self, settings: ServeConfig, routes: dict[str, Route]) -> None:
        self.address_family = socket.AF_INET6 if ":" in settings.host else socket.AF_INET
        self.routes = routes
        self.token = settings.token
        super().__init__((settings.host, settings.port), _Handler)

    def handle_error(self, request: object, client_address: object) -> None:
        log.debug("a request from %s failed", client_address, exc_info=True)


class _Handler(BaseHTTPRequestHandler):
    server: _Server
    timeout = REQUEST_S
    server_version, sys_version = "crosscam", ""

    def do_GET(self) -> None:
        path = self.path.split("?", 1)[0]
        route = self.server.routes.get(path)
        if route is None:
            self._answer((404, "text/plain", b"there are /healthz, /readyz and /metrics\n"))
        elif path == "/metrics" and not self._may_ask():
            self._answer((401, "text/plain", b"Authorization: Bearer <token> is needed\n"))
        else:
            self._answer(route())

    def _may_ask(self) -> bool:
        token = self.server.token
        given = self.headers.get("Authorization", "").encode()
        return token is None or hmac.compare_digest(given, f"Bearer {token}".encode())

    def _answer(self, answer: Answer) -> None:
        status, kind, body = answer
        self.send_response(status)
        if status == 401:
            self.send_header("WWW-Authenticate", "Bearer")
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        """Not a line per scrape."""
