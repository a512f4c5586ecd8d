"""Cameras that speak HTTP: MJPEG as a multipart answer without end, and HLS."""

from __future__ import annotations

import threading
import time
from base64 import b64encode
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from fractions import Fraction
from functools import partial
from http.server import BaseHTTPRequestHandler, SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import av
import cv2
import numpy as np

SIZE = (320, 240)


def stamped_picture() -> np.ndarray:
    """``(240, 320, 3)`` uint8 with the steady clock in it, as the drawn cameras of `rtsp_server.py` have it."""
    width, height = SIZE
    stamp, cell = int(time.monotonic() * 1000) & 0xFFFFFFFF, width // 16
    image = np.full((height, width, 3), 90, np.uint8)
    for bit in range(32):
        row, column = divmod(31 - bit, 16)
        image[row * cell : (row + 1) * cell, column * cell : (column + 1) * cell] = 235 * (stamp >> bit & 1)
    return image


@contextmanager
def serving(handler: Callable[..., BaseHTTPRequestHandler]) -> Iterator[int]:
    """A server on loopback; gives its port."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler)  # type: ignore[arg-type]
    server.daemon_threads = True
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield server.server_port
    finally:
        server.shutdown()
        server.server_close()


class MjpegCamera(BaseHTTPRequestHandler):
    """Ten pictures a second to whoever is called viewer and knows the password."""

    def do_GET(self) -> None:
        expected = "Basic " + b64encode(b"viewer:s3cret").decode()
        if self.headers.get("Authorization") != expected:
            self.send_response(401)
            self.send_header("WWW-Authenticate", 'Basic realm="camera"')
            self.end_headers()
            return
        self.send_response(200)
        self.send_header("Content-Type", "multipart/x-mixed-replace; boundary=next")
        self.end_headers()
        try:
            while True:
                data = cv2.imencode(".jpg", stamped_picture())[1].tobytes()
                head = f"--next\r\nContent-Type: image/jpeg\r\nContent-Length: {len(data)}\r\n\r\n"
                self.wfile.write(head.encode() + data + b"\r\n")
                time.sleep(0.1)
        except OSError:
            return

    def log_message(self, *_: Any) -> None:
        """Silence."""


class _QuietFiles(SimpleHTTPRequestHandler):
    def log_message(self, *_: Any) -> None:
        """Silence."""


@contextmanager
def hls_camera(folder: Path) -> Iterator[str]:
    """A live playlist of one-second segments, written as time goes by; gives its address."""
    stop = threading.Event()

    def film() -> None:
        options = {"hls_time": "1", "hls_list_size": "4", "hls_flags": "delete_segments"}
        with av.open(str(folder / "live.m3u8"), "w", format="hls", options=options) as container:
            stream: Any = container.add_stream("libx264", rate=10)
            stream.width, stream.height, stream.pix_fmt = *SIZE, "yuv420p"
            stream.options = {"preset": "ultrafast", "tune": "zerolatency", "g": "10"}
            began = time.monotonic()
            for index in range(10_000):
                stop.wait(max(0.0, began + index / 10 - time.monotonic()))
                if stop.is_set():
                    return
                frame = av.VideoFrame.from_ndarray(stamped_picture(), format="bgr24")
                frame.pts, frame.time_base = index, Fraction(1, 10)
                container.mux(stream.encode(frame))

    thread = threading.Thread(target=film)
    thread.start()
    try:
        with serving(partial(_QuietFiles, directory=str(folder))) as port:
            yield f"http://127.0.0.1:{port}/live.m3u8"
    finally:
        stop.set()
        thread.join()
