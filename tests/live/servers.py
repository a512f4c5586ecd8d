"""Runs `rtsp_server.py` in its own process, under the Python that has GStreamer; other servers live cameras need."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
from pathlib import Path

import numpy as np
import numpy.typing as npt

SYSTEM_PYTHON = "/usr/bin/python3"
SCRIPT = Path(__file__).with_name("rtsp_server.py")
PACKAGES = "gir1.2-gst-rtsp-server-1.0 python3-gi glib-networking gstreamer1.0-plugins-{base,good,bad,ugly}"
COLUMNS, ROWS = 16, 2
_PROBE = """
import gi
gi.require_version("GstRtspServer", "1.0")
from gi.repository import Gio, Gst, GstRtspServer
Gst.init(None)
assert all(map(Gst.ElementFactory.find, ("x264enc", "h264parse", "rtph264pay", "appsrc")))
assert Gio.TlsBackend.get_default().supports_tls()
"""


def missing_packages() -> str | None:
    """Why no RTSP server can be started here, or None."""
    if not Path(SYSTEM_PYTHON).exists():
        return f"no {SYSTEM_PYTHON}"
    probe = subprocess.run([SYSTEM_PYTHON, "-c", _PROBE], capture_output=True, check=False)
    return None if probe.returncode == 0 else f"no RTSP server here; install {PACKAGES}"


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


class RtspServer:
    """``mounts`` as `rtsp_server.py` takes them; killed and started again at will, on the same port.

    Args:
        clock: a file that says how far the server's wall clock is off, as libfaketime reads it, e.g. ``+90s``; it may be
            rewritten while the server runs.
        certificate: PEM file of key and certificate; the server then speaks TLS.
        first_stamp: RTP time of the first picture, 1/90000 s; it has 32 bits and wraps.
    """

    def __init__(
        self,
        *mounts: str,
        clock: Path | None = None,
        user: str = "",
        password: str = "",
        certificate: Path | None = None,
        first_stamp: int = 0,
    ) -> None:
        self.port = free_port()
        self._scheme = "rtsp" if certificate is None else "rtsps"
        self._arguments = [
            SYSTEM_PYTHON,
            str(SCRIPT),
            str(self.port),
            "--first-stamp",
            str(first_stamp),
            *mounts,
        ]
        if user:
            self._arguments += ["--user", user, "--password", password]
        if certificate is not None:
            self._arguments += ["--certificate", str(certificate)]
        self._environment = {**os.environ, "GST_DEBUG": "none"}
        if clock is not None:
            self._environment |= {"LD_PRELOAD": str(faketime()), "FAKETIME_TIMESTAMP_FILE": str(clock)}
            self._environment |= {"FAKETIME_NO_CACHE": "1", "DONT_FAKE_MONOTONIC": "1"}
        self._process: subprocess.Popen[str] | None = None

    def url(self, mount: str, credentials: str = "") -> str:
        return f"{self._scheme}://{credentials + '@' if credentials else ''}127.0.0.1:{self.port}/{mount}"

    def start(self) -> RtspServer:
        self._process = subprocess.Popen(
            self._arguments, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=self._environment,
            start_new_session=True,
        )  # fmt: skip
        assert self._process.stdout is not None
        assert self._process.stdout.readline() == "ready\n", "the server did not start"
        return self

    def tell(self, order: str) -> None:
        """An order to one of the cameras, see `rtsp_server.py`."""
        assert self._process is not None
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(order + "\n")
        self._process.stdin.flush()
        assert self._process.stdout.readline() == "ok\n"

    def kill(self) -> None:
        """As by power failure."""
        self._signal(signal.SIGCONT)
        self._signal(signal.SIGKILL)
        if self._process is not None:
            self._process.wait()
            for pipe in (self._process.stdin, self._process.stdout):
                if pipe is not None:
                    pipe.close()
            self._process = None

    def halt(self) -> None:
        """The machine is there but nothing moves any more: its connections stay open and silent."""
        self._signal(signal.SIGSTOP)

    def resume(self) -> None:
        self._signal(signal.SIGCONT)

    def _signal(self, number: signal.Signals) -> None:
        if self._process is not None and self._process.poll() is None:
            os.killpg(self._process.pid, number)

    def __enter__(self) -> RtspServer:
        return self.start()

    def __exit__(self, *_: object) -> None:
        self.kill()


def faketime() -> Path | None:
    """The library that shows a process another time, of Debian's package ``faketime``; None without it."""
    return next(iter(sorted(Path("/usr/lib").glob("*/faketime/libfaketime.so.1"))), None)


def taken_at(image: npt.NDArray[np.uint8]) -> float:
    """Steady seconds (``time.monotonic``, modulo 2**32 ms) that a drawn camera wrote into its picture ``(H, W, 3)``."""
    cell = image.shape[1] // COLUMNS
    blocks = image[: ROWS * cell, : COLUMNS * cell].mean(axis=2).reshape(ROWS, cell, COLUMNS, cell)
    inner = slice(cell // 4, -(cell // 4))
    lit = blocks[:, inner, :, inner].mean(axis=(1, 3)) > 127
    return int("".join("1" if one else "0" for one in lit.ravel()), 2) / 1000
