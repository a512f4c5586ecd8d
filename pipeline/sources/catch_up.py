"""Has a reader fallen behind its stream? A starved machine leaves packets in the sockets, and every picture comes late.

A packet's delay, arrival minus media time, is held against the smallest so far. What that grows by beyond what a
crystal drifts has been waiting somewhere. Whoever is too far behind decodes nothing until the newest packet is reached
and a key frame begins there: reading costs next to nothing, and what is passed over would be dropped as late anyway.
"""

from __future__ import annotations

BEHIND_S = 2.0
LEVEL_S = 0.5
PATIENCE_S = 5.0
DRIFT = 2e-4
"""Seconds per second that the smallest delay may grow by, so that a clock that runs slow is not taken for a queue."""


class CatchUp:
    """Tells which packets of a stream to pass over.

    Attributes:
        passed: packets passed over so far.
    """

    def __init__(self) -> None:
        self.passed = 0
        self._floor_s = float("inf")
        self._seen_s = 0.0
        self._since_s: float | None = None

    def passes_over(self, media_s: float, now_s: float, *, is_key: bool) -> bool:
        """Whether the next packet, of ``media_s`` in the stream and read at ``now_s`` of a steady clock, is not decoded."""
        delay_s = now_s - media_s
        self._floor_s = min(self._floor_s + DRIFT * (now_s - self._seen_s), delay_s)
        self._seen_s = now_s
        if self._since_s is None and delay_s - self._floor_s > BEHIND_S:
            self._since_s = now_s
        if self._since_s is None or self._is_over(delay_s, now_s, is_key):
            return False
        self.passed += 1
        return True

    def _is_over(self, delay_s: float, now_s: float, is_key: bool) -> bool:
        """Level again; or the stream itself is late, or has no key frames, which passing over does not cure."""
        assert self._since_s is not None
        is_vain = now_s - self._since_s > PATIENCE_S
        if is_vain:
            self._floor_s = delay_s
        if is_vain or (is_key and delay_s - self._floor_s < LEVEL_S):
            self._since_s = None
        return self._since_s is None
