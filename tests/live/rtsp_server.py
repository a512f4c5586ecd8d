"""A real RTSP server whose cameras can be told to misbehave; runs under the system's Python, which has GStreamer.

    /usr/bin/python3 rtsp_server.py PORT [--user NAME --password WORD] [--certificate PEM] [--first-stamp N] MOUNT...

A MOUNT is ``NAME=WIDTHxHEIGHT@FPS``, or ``NAME=FILE@FPS`` for recorded ones.

Drawn cameras carry the host's steady clock (milliseconds, 32 bits) as black and white blocks in the upper half of every
picture, so that a reader can tell when it was taken, and a square that wanders. A FILE holds H.264 access units, each
after its length (4 bytes, big endian); it is played in a loop without being encoded again.

Lines on standard input, each answered by ``ok``: ``freeze MOUNT``, ``black MOUNT``, ``hang MOUNT`` (the connection stays,
pictures do not come), ``go MOUNT`` (back to normal), ``size MOUNT WIDTH HEIGHT``.
"""

from __future__ import annotations

import argparse
import select
import struct
import sys
import threading
import time
from pathlib import Path

import gi

gi.require_version("Gst", "1.0")
gi.require_version("GstRtspServer", "1.0")
from gi.repository import Gio, GLib, Gst, GstRtspServer  # noqa: E402

COLUMNS, ROWS = 16, 2
ENCODE = (
    "x264enc speed-preset=ultrafast tune=zerolatency key-int-max=20 bitrate=600 sliced-threads=false threads=1"
    " ! video/x-h264,profile=baseline"
)
PAY = "rtph264pay name=pay0 pt=96 config-interval=-1"


class DrawnCamera:
    """Draws I420 pictures; ``mode`` and ``size`` may be changed at any time."""

    def __init__(self, width: int, height: int, fps: float) -> None:
        self.size, self.fps, self.mode = (width, height), fps, "go"
        self._count = 0
        self._last = b""

    def launch(self) -> str:
        return f"( appsrc name=source is-live=true format=time ! {ENCODE} ! {PAY} timestamp-offset={first_stamp} )"

    def caps(self) -> str:
        width, height = self.size
        return f"video/x-raw,format=I420,width={width},height={height},framerate={round(self.fps)}/1"

    def picture(self) -> bytes | None:
        if self.mode == "hang":
            return None
        if self.mode == "black":
            width, height = self.size
            return bytes([16]) * (width * height) + bytes([128]) * (width * height // 2)
        if self.mode == "go" or not self._last:
            self._last = self._drawn()
        return self._last

    def _drawn(self) -> bytes:
        width, height = self.size
        self._count += 1
        luma = bytearray(bytes(range(40, 200)) * (width * height // 160 + 1))[: width * height]
        cell, stamp = width // COLUMNS, int(time.monotonic() * 1000) & 0xFFFFFFFF
        for row in range(ROWS):
            bits = (
                stamp >> (COLUMNS * (ROWS - 1 - row)) >> (COLUMNS - 1 - column) & 1
                for column in range(COLUMNS)
            )
            line = b"".join((b"\xeb" if bit else b"\x10") * cell for bit in bits)
            for y in range(row * cell, (row + 1) * cell):
                luma[y * width : y * width + len(line)] = line
        side, left, top = cell * 2, self._count * 3 % (width - 2 * cell), height - 3 * cell
        for y in range(top, top + side):
            luma[y * width + left : y * width + left + side] = b"\xf0" * side
        return bytes(luma) + bytes([128]) * (width * height // 2)


class PlayedCamera:
    """Plays access units in a loop."""

    def __init__(self, path: Path, fps: float) -> None:
        self.fps, self.mode = fps, "go"
        self._units = list(_units(path.read_bytes()))
        self._count = 0

    def launch(self) -> str:
        return f"( appsrc name=source is-live=true format=time ! h264parse ! {PAY} )"

    def caps(self) -> str:
        return f"video/x-h264,stream-format=byte-stream,alignment=au,framerate={round(self.fps)}/1"

    def picture(self) -> bytes | None:
        if self.mode == "hang":
            return None
        self._count += 1
        return self._units[(self._count - 1) % len(self._units)]


def _units(data: bytes):
    at = 0
    while at < len(data):
        (length,) = struct.unpack_from(">I", data, at)
        yield data[at + 4 : at + 4 + length]
        at += 4 + length


class Feeder(threading.Thread):
    """Pushes a camera's pictures into one prepared media, paced by the steady clock."""

    def __init__(self, camera: DrawnCamera | PlayedCamera, source: Gst.Element) -> None:
        super().__init__(daemon=True)
        self.camera, self.source, self.ended = camera, source, threading.Event()

    def run(self) -> None:
        began, count, caps = time.monotonic(), 0, ""
        while not self.ended.is_set():
            due_s = count / self.camera.fps
            select.select([], [], [], max(0.0, began + due_s - time.monotonic()))  # libfaketime breaks sleep
            count += 1
            clock = self.source.get_clock()
            data = self.camera.picture() if clock is not None else None  # the first one is the key frame
            if data is None:
                continue
            if caps != self.camera.caps():
                caps = self.camera.caps()
                self.source.set_property("caps", Gst.Caps.from_string(caps))
            buffer = Gst.Buffer.new_wrapped(data)
            buffer.pts = buffer.dts = clock.get_time() - self.source.get_base_time()
            buffer.duration = int(Gst.SECOND / self.camera.fps)
            if self.source.emit("push-buffer", buffer) == Gst.FlowReturn.FLUSHING:
                select.select([], [], [], 0.05)


def mount(server: GstRtspServer.RTSPServer, name: str, camera: DrawnCamera | PlayedCamera) -> None:
    factory = GstRtspServer.RTSPMediaFactory()
    factory.set_launch(camera.launch())
    factory.set_shared(True)

    def configure(_: GstRtspServer.RTSPMediaFactory, media: GstRtspServer.RTSPMedia) -> None:
        source = media.get_element().get_by_name_recurse_up("source")
        source.set_property("caps", Gst.Caps.from_string(camera.caps()))
        feeder = Feeder(camera, source)
        media.connect("unprepared", lambda _: feeder.ended.set())
        feeder.start()

    factory.connect("media-configure", configure)
    server.get_mount_points().add_factory(f"/{name}", factory)


def guard(server: GstRtspServer.RTSPServer, user: str, password: str, certificate: str) -> None:
    """Ask for a name and a password, speak TLS, or both."""
    auth, role = GstRtspServer.RTSPAuth(), user or "anybody"
    token = GstRtspServer.RTSPToken()
    token.set_string("media.factory.role", role)
    if user:
        auth.add_basic(GstRtspServer.RTSPAuth.make_basic(user, password), token)
    else:
        auth.set_default_token(token)
    if certificate:
        auth.set_tls_certificate(Gio.TlsCertificate.new_from_file(certificate))
    server.set_auth(auth)
    rights = f"{role},media.factory.access=true,media.factory.construct=true"
    for name in cameras:
        factory = server.get_mount_points().match(f"/{name}")[0]
        factory.add_role_from_structure(Gst.Structure.from_string(rights)[0])


def heed(line: str) -> None:
    order, name, *rest = line.split()
    if order == "size":
        cameras[name].size = (int(rest[0]), int(rest[1]))
    else:
        cameras[name].mode = order


def listen() -> None:
    for line in sys.stdin:
        heed(line)
        print("ok", flush=True)
    loop.quit()


def camera_of(text: str) -> DrawnCamera | PlayedCamera:
    what, fps = text.rsplit("@", 1)
    if Path(what).is_file():
        return PlayedCamera(Path(what), float(fps))
    width, height = what.split("x")
    return DrawnCamera(int(width), int(height), float(fps))


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("port")
    parser.add_argument("mounts", nargs="+")
    parser.add_argument("--user", default="")
    parser.add_argument("--password", default="")
    parser.add_argument("--certificate", default="")
    parser.add_argument("--first-stamp", type=int, default=0, help="RTP time of drawn cameras' first picture")
    arguments = parser.parse_args()
    first_stamp = arguments.first_stamp
    Gst.init(None)
    loop = GLib.MainLoop()
    server = GstRtspServer.RTSPServer(service=arguments.port, address="127.0.0.1")
    cameras = {one.split("=", 1)[0]: camera_of(one.split("=", 1)[1]) for one in arguments.mounts}
    for name, camera in cameras.items():
        mount(server, name, camera)
    if arguments.user or arguments.certificate:
        guard(server, arguments.user, arguments.password, arguments.certificate)
    if not server.attach(None):
        sys.exit(f"port {arguments.port} is taken")
    threading.Thread(target=listen, daemon=True).start()
    print("ready", flush=True)
    loop.run()
