"""A searchable set of embeddings under integer ids (the only importer of FAISS).

Exact by default. Above a size the vectors move to an inverted file (Sivic and Zisserman, ICCV 2003): a query
looks only at the cells around it, which is nearly exact and takes removals at any time.
"""

from __future__ import annotations

import math
from typing import Any

import faiss
import numpy as np
import numpy.typing as npt

__all__ = ["Gallery"]

FloatArray = npt.NDArray[np.float32]
IntArray = npt.NDArray[np.int64]

# Cells are cut anew when the gallery has grown or shrunk by this factor.
REBUILD_FACTOR = 4
PROBED_SHARE = 8
MIN_PROBED = 8
POINTS_PER_CELL = 64


class Gallery:
    """Unit embeddings, searched by cosine distance.

    Args:
        dim: length of an embedding.
        max_exact: up to this many embeddings the search is exact.
    """

    def __init__(self, dim: int, *, max_exact: int = 100_000) -> None:
        if dim < 1 or max_exact < 1:
            raise ValueError(f"Gallery: dim and max_exact must be positive, got {dim} and {max_exact}")
        self.dim, self._max_exact = dim, max_exact
        self._index: Any = _exact_index(dim)
        self._cut_at: int | None = None
        self._ids: set[int] = set()

    def __len__(self) -> int:
        return len(self._ids)

    def __contains__(self, identity: int) -> bool:
        return identity in self._ids

    @property
    def is_exact(self) -> bool:
        return self._cut_at is None

    def add(self, ids: npt.ArrayLike, embeddings: npt.ArrayLike) -> None:
        """Store embeddings.

        Args:
            ids: ``(N,)`` int64, not negative, none of them stored yet.
            embeddings: ``(N, dim)`` float32 of unit norm.

        Raises:
            ValueError: wrong shapes, an id that is negative or taken, or embeddings not of unit norm.
        """
        keys, vectors = np.asarray(ids, dtype=np.int64).ravel(), self._checked(embeddings)
        if len(keys) != len(vectors):
            raise ValueError(f"Gallery.add: {len(keys)} ids for {len(vectors)} embeddings")
        new = set(keys.tolist())
        if len(new) < len(keys) or new & self._ids or (len(keys) and keys.min() < 0):
            taken = sorted(new & self._ids)[:5]
            raise ValueError(f"Gallery.add: ids must be new, distinct and not negative (taken: {taken})")
        self._index.add_with_ids(vectors, keys)
        self._ids |= new
        self._fit_index()

    def remove(self, ids: npt.ArrayLike) -> None:
        """Forget embeddings.

        Raises:
            KeyError: an id that is not stored.
        """
        keys = np.asarray(ids, dtype=np.int64).ravel()
        unknown = set(keys.tolist()) - self._ids
        if unknown:
            raise KeyError(f"Gallery.remove: not stored: {sorted(unknown)[:5]}")
        if len(keys):
            self._index.remove_ids(keys)
            self._ids -= set(keys.tolist())
            self._fit_index()

    def search(self, queries: npt.ArrayLike, k: int) -> tuple[FloatArray, IntArray]:
        """The nearest stored embeddings.

        Args:
            queries: ``(M, dim)`` float32 of unit norm.
            k: how many for each, at least 1.

        Returns:
            Cosine distances ``(M, k)`` float32 in [0, 2], ascending, and ids ``(M, k)`` int64; infinity and
            -1 where fewer than k are stored.
        """
        vectors = self._checked(queries)
        if k < 1:
            raise ValueError(f"Gallery.search: k must be at least 1, got {k}")
        if not len(self) or not len(vectors):
            shape = (len(vectors), k)
            return np.full(shape, np.inf, dtype=np.float32), np.full(shape, -1, dtype=np.int64)
        cosine, ids = self._index.search(vectors, k)
        distance = np.where(ids < 0, np.float32(np.inf), np.clip(1.0 - cosine, 0.0, 2.0))
        return distance.astype(np.float32), ids

    def _checked(self, embeddings: npt.ArrayLike) -> FloatArray:
        vectors = np.ascontiguousarray(embeddings, dtype=np.float32)
        if vectors.ndim != 2 or vectors.shape[1] != self.dim:
            raise ValueError(f"Gallery: expected embeddings of shape (N, {self.dim}), got {vectors.shape}")
        norms = np.linalg.norm(vectors, axis=1)
        if not np.all(np.abs(norms - 1.0) < 1e-3):
            raise ValueError("Gallery: expected embeddings of unit norm")
        return vectors

    def _fit_index(self) -> None:
        """Switch between the exact index and cells, or cut the cells anew, as the size demands."""
        size = len(self)
        if size <= self._max_exact // 2 and not self.is_exact:
            self._move_to(_exact_index(self.dim), None)
        elif size > self._max_exact and (self._cut_at is None or size > REBUILD_FACTOR * self._cut_at):
            self._move_to(_cell_index(self.dim, size), size)

    def _move_to(self, index: Any, cut_at: int | None) -> None:
        ids, vectors = self._stored()
        if cut_at is not None:
            index.train(vectors)
        index.add_with_ids(vectors, ids)
        self._index, self._cut_at = index, cut_at

    def _stored(self) -> tuple[IntArray, FloatArray]:
        if self.is_exact:
            ids = faiss.vector_to_array(self._index.id_map)
            return ids, self._index.index.reconstruct_n(0, len(ids))
        lists = [self._cell(number) for number in range(self._index.nlist)]
        return np.concatenate([ids for ids, _ in lists]), np.concatenate([vectors for _, vectors in lists])

    def _cell(self, number: int) -> tuple[IntArray, FloatArray]:
        lists = self._index.invlists
        size = lists.list_size(number)
        if not size:
            return np.zeros(0, dtype=np.int64), np.zeros((0, self.dim), dtype=np.float32)
        ids = faiss.rev_swig_ptr(lists.get_ids(number), size).copy()
        codes = faiss.rev_swig_ptr(lists.get_codes(number), size * lists.code_size)
        return ids, codes.view(np.float32).reshape(size, self.dim).copy()


def _exact_index(dim: int) -> Any:
    return faiss.IndexIDMap2(faiss.IndexFlatIP(dim))


def _cell_index(dim: int, size: int) -> Any:
    cells = max(1, min(int(4 * math.sqrt(size)), size // POINTS_PER_CELL))
    index = faiss.IndexIVFFlat(faiss.IndexFlatIP(dim), dim, cells, faiss.METRIC_INNER_PRODUCT)
    index.nprobe = min(cells, max(MIN_PROBED, cells // PROBED_SHARE))
    index.cp.spherical = True
    index.cp.max_points_per_centroid = POINTS_PER_CELL
    return index
