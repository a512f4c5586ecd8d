"""The nearest-neighbour index association is given: a protocol; this package needs no index library."""

from __future__ import annotations

from typing import Protocol

from tracking.types import FloatArray, IntArray

__all__ = ["Gallery"]


class Gallery(Protocol):
    """Unit embeddings under integer ids, searched by cosine distance.

    ``add`` takes ids ``(N,)`` int64 and embeddings ``(N, D)`` float32; ``search`` returns cosine distances
    ``(M, k)`` float32, ascending, and ids ``(M, k)`` int64, padded with -1 where fewer than k are stored.
    """

    def add(self, ids: IntArray, embeddings: FloatArray) -> None: ...

    def search(self, queries: FloatArray, k: int) -> tuple[FloatArray, IntArray]: ...

    def remove(self, ids: IntArray) -> None: ...

    def __len__(self) -> int: ...
