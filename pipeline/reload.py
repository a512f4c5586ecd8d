"""SIGHUP: cameras come, go or change while the others run on; what cannot change under way is told."""

from __future__ import annotations

import logging
from collections.abc import Callable

from pipeline.build import Run, admit
from pipeline.config import CameraConfig, Config
from pipeline.errors import CrosscamError
from pipeline.export.writer import RunWriter
from pipeline.linking import Linker
from pipeline.packets import Watermark

log = logging.getLogger(__name__)


class Reload:
    """Brings a running live run in line with its configuration as it is read again. The run's loop calls everything.

    A camera that changed is ended like one that left, and comes back under its name once its end is through; its
    local ids go on, so no tracklet's name is used twice. A configuration that is wrong changes nothing.

    Args:
        read: reads the configuration anew.
    """

    def __init__(self, run: Run, linker: Linker, writer: RunWriter, read: Callable[[], Config]) -> None:
        self._run = run
        self._linker = linker
        self._writer = writer
        self._read = read
        self._current = {camera.id: camera for camera in run.config.cameras}
        self._ended = {end.camera_id for end in run.failed}
        self._returning: dict[str, CameraConfig] = {}

    def apply(self) -> None:
        """Read and compare; tell what was done."""
        try:
            wanted = self._read()
        except CrosscamError as error:
            for line in str(error).splitlines():
                log.error("reload: %s", line)
            log.error("reload: the configuration is wrong; the run goes on as it was")
            return
        self._tell_what_stays(wanted)
        if not all(camera.is_live for camera in wanted.cameras):
            log.error("reload: only live cameras can come while running; nothing is changed")
            return
        cameras = {camera.id: camera for camera in wanted.cameras}
        for camera_id in sorted(self._current.keys() - cameras.keys()):
            self._leave(camera_id)
        for camera_id, camera in sorted(cameras.items()):
            if self._current.get(camera_id) != camera:
                self._bring(camera)

    def _tell_what_stays(self, wanted: Config) -> None:
        old = self._run.config
        other = [
            name
            for name in type(old).model_fields
            if name != "cameras" and getattr(old, name) != getattr(wanted, name)
        ]
        if other:
            log.warning("reload: %s changed; that takes a restart", ", ".join(other))

    def _leave(self, camera_id: str) -> None:
        log.info("reload: camera %s leaves", camera_id)
        del self._current[camera_id]
        self._returning.pop(camera_id, None)
        self._run.shard.leave(camera_id)

    def _bring(self, camera: CameraConfig) -> None:
        is_running = (
            any(reader.camera_id == camera.id for reader in self._run.shard.readers)
            and camera.id not in self._ended
        )
        if is_running:
            log.info("reload: camera %s changes", camera.id)
            self._current[camera.id] = self._returning[camera.id] = camera
            self._run.shard.leave(camera.id)
        else:
            self._admit(camera)

    def passed(self, watermark: Watermark) -> None:
        """A camera's last watermark is infinite: whoever returns under its name may now come in."""
        if watermark.time_s != float("inf"):
            return
        self._ended.add(watermark.camera_id)
        camera = self._returning.pop(watermark.camera_id, None)
        if camera is not None:
            self._admit(camera)

    def _admit(self, camera: CameraConfig) -> None:
        try:
            reader = admit(self._run, camera)
        except CrosscamError as error:
            log.error("reload: %s; the camera stays out", error)
            self._current.pop(camera.id, None)
            return
        log.info("reload: camera %s comes", camera.id)
        self._current[camera.id] = camera
        self._ended.discard(camera.id)
        self._linker.join(camera.id, camera.site)
        self._writer.cameras(self._run.header)
        self._run.shard.join(reader)
