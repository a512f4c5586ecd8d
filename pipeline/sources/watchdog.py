"""Does a live stream still show something new? Tells a frozen or black picture from a living one."""

from __future__ import annotations

from collections import deque

import cv2
import numpy as np

from pipeline.packets import Image
from pipeline.sources.health import PictureState

THUMBNAIL = (32, 18)
BLACK_LEVEL = 24
REMEMBERED = 512
CLEAR_CHANGE = 3
MAX_PATIENCE = 64.0


class PictureWatchdog:
    """Looks at a thumbnail of every frame.

    A picture is news if its thumbnail differs clearly from the last news, or was never seen lately: even a still scene
    has sensor noise, while a stuck camera repeats itself, group of pictures by group of pictures. Without news for
    ``freeze_s`` it is frozen; with no cell brighter than ``BLACK_LEVEL`` of 255 for as long it is black. An encoder that
    starts anew draws the same picture a little differently: for ``freeze_s`` after a reopening only a clear change
    brings a frozen picture back to life.

    Scenes as still or as dark exist. Each time that opening the stream again changes nothing, the watchdog waits twice
    as long before it asks for that again, at most 64 times ``freeze_s``.

    Attributes:
        state: of the picture; stays frozen or black over a reopening until there is something to be seen.
    """

    def __init__(self, freeze_s: float) -> None:
        self.state: PictureState = "live"
        self._freeze_s = freeze_s
        self._patience = 1.0
        self._known: deque[int] = deque(maxlen=REMEMBERED)
        self._reference: Image | None = None
        self._opened_s: float | None = None
        self._news_s: float | None = None
        self._lit_s: float | None = None

    def look(self, image: Image, time_s: float) -> PictureState:
        """State after this frame; ``time_s`` from any steady clock."""
        thumbnail = cv2.resize(image, THUMBNAIL, interpolation=cv2.INTER_AREA)
        self._opened_s = time_s if self._opened_s is None else self._opened_s
        moved, is_unknown = self._changes(np.asarray(thumbnail, np.uint8))
        has_settled = self.state == "live" or time_s - self._opened_s >= self._freeze_s
        is_news, is_lit = moved or (is_unknown and has_settled), int(np.max(thumbnail)) > BLACK_LEVEL
        self._news_s = time_s if is_news or self._news_s is None else self._news_s
        self._lit_s = time_s if is_lit or self._lit_s is None else self._lit_s
        if is_news and is_lit:
            self.state, self._patience = "live", 1.0
        elif time_s - self._lit_s >= self._freeze_s:
            self.state = "black"
        elif time_s - self._news_s >= self._freeze_s:
            self.state = "frozen"
        return self.state

    def _changes(self, thumbnail: Image) -> tuple[bool, bool]:
        """Whether it differs clearly from the last news, and whether it was never seen lately."""
        fingerprint = hash(thumbnail.tobytes())
        is_unknown = fingerprint not in self._known
        if is_unknown:
            self._known.append(fingerprint)
        moved = self._reference is None or int(cv2.absdiff(thumbnail, self._reference).max()) > CLEAR_CHANGE
        if moved or is_unknown:
            self._reference = thumbnail
        return moved, is_unknown

    def wants_reopening(self, time_s: float) -> bool:
        """Whether nothing new was seen for so long that opening the stream again is worth a try."""
        if self.state == "live" or self._news_s is None or self._lit_s is None:
            return False
        since_s = self._lit_s if self.state == "black" else self._news_s
        return time_s - since_s >= self._freeze_s * self._patience

    def restart(self, *, asked_for: bool) -> None:
        """The stream was opened again; ``asked_for``: because this watchdog wanted it."""
        self._opened_s = self._news_s = self._lit_s = None
        if asked_for:
            self._patience = min(2 * self._patience, MAX_PATIENCE)
