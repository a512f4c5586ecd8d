"""The way to ``start_s`` of a recording without decoding it: packets are read and counted, decoding begins at a key frame.

Reading takes a hundredth of decoding. Unlike a seek it tells how many frames lie before, whatever the container's index
holds, and it cannot miss. Where packets do not tell for certain, everything is decoded as ever.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

MAX_HELD_BYTES = 64 * 1024 * 1024
"""Of a group of pictures without end; decoding begins early then."""
ONE_PICTURE_EACH = {"h264", "hevc", "mpeg4", "mjpeg", "mpeg2video"}
"""Codecs whose every packet is one picture, so that packets can be counted in place of pictures."""


@dataclass(slots=True, eq=False)
class LeadIn:
    """Where decoding begins.

    Attributes:
        held: packets to decode first, a key frame in front.
        first_pts: of the recording's first picture.
        key_pts: of the picture decoding begins with; of what is shown before it some cannot be decoded.
        passed: pictures in packets that are not decoded.
    """

    held: list[Any] = field(default_factory=list)
    first_pts: int = 0
    key_pts: int = 0
    passed: int = 0
    _shown: set[int] = field(default_factory=set)
    _last_passed_pts: int | None = None
    _held_bytes: int = 0

    @property
    def pictures_before(self) -> int:
        """How many pictures are shown before the key frame."""
        return self.passed + sum(pts < self.key_pts for pts in self._shown)

    def is_odd(self, packet: Any) -> bool:
        """Whether nothing can be told from this packet: no time, a time that was there, no key frame to begin with."""
        if packet.pts is None or packet.is_corrupt or packet.pts in self._shown:
            return True
        if not self.held:
            return bool(not packet.is_keyframe or packet.is_discard)
        return bool(packet.pts <= self._latest_passed())

    def take(self, packet: Any, start_s: float) -> bool:
        """Add the next packet; whether it is the first one behind ``start_s``, or too much is held."""
        if not self.held:
            self.first_pts = packet.pts
        position_s = float((packet.pts - self.first_pts) * packet.time_base)
        if packet.is_keyframe and not packet.is_discard and (not self.held or position_s <= start_s):
            self._begin_at(packet.pts)
        self.held.append(packet)
        self._held_bytes += packet.size
        if not packet.is_discard:
            self._shown.add(packet.pts)
        is_enough = position_s >= start_s or self._held_bytes > MAX_HELD_BYTES
        return bool(packet.pts > self.key_pts and is_enough)

    def _begin_at(self, key_pts: int) -> None:
        self._last_passed_pts = max(self._shown, default=None)
        self.passed += len(self._shown)
        self.key_pts, self.held, self._held_bytes = key_pts, [], 0
        self._shown.clear()

    def _latest_passed(self) -> int:
        return self.first_pts - 1 if self._last_passed_pts is None else self._last_passed_pts


def lead_in(packets: Iterator[Any], start_s: float) -> LeadIn | None:
    """Take packets up to the first one behind ``start_s`` seconds after the first picture, or all there are.

    Returns:
        None where something is odd, see ``LeadIn.is_odd``; the packets are used up then.
    """
    way = LeadIn()
    for packet in packets:
        if packet.size == 0:
            way.held.append(packet)
            break
        if way.is_odd(packet):
            return None
        if way.take(packet, start_s):
            break
    return way
