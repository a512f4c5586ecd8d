"""The gallery: exact search, removal, cells above a size."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pytest

from reid import Gallery


def unit(count: int, dim: int = 16, seed: int = 0) -> npt.NDArray[np.float32]:
    vectors = np.random.default_rng(seed).standard_normal((count, dim)).astype(np.float32)
    return vectors / np.linalg.norm(vectors, axis=1, keepdims=True)


def test_search_gives_cosine_distances_ascending() -> None:
    gallery, vectors = Gallery(16), unit(30)
    gallery.add(np.arange(100, 130), vectors)
    distances, ids = gallery.search(vectors[:4], 30)
    expected = 1.0 - vectors[:4] @ vectors.T
    np.testing.assert_allclose(distances, np.sort(expected, axis=1), atol=1e-5)
    assert ids[:, 0].tolist() == [100, 101, 102, 103]
    assert distances.dtype == np.float32
    assert ids.dtype == np.int64


def test_large_ids_and_missing_neighbours() -> None:
    gallery = Gallery(16)
    assert gallery.search(unit(1), 2)[1].tolist() == [[-1, -1]]
    gallery.add([2**40], unit(1))
    distances, ids = gallery.search(unit(1), 2)
    assert ids.tolist() == [[2**40, -1]]
    assert distances[0, 1] == np.inf


def test_removed_embeddings_are_gone_and_their_ids_free() -> None:
    gallery, vectors = Gallery(16), unit(10)
    gallery.add(range(10), vectors)
    gallery.remove([3, 4])
    assert len(gallery) == 8
    assert 3 not in gallery
    assert 3 not in gallery.search(vectors[3:4], 10)[1]
    gallery.add([3], vectors[3:4])
    assert gallery.search(vectors[3:4], 1)[1].tolist() == [[3]]


@pytest.mark.parametrize("ids", [[0, 0], [-1, 5], [7, 8]])
def test_ids_must_be_new_distinct_and_not_negative(ids: list[int]) -> None:
    gallery = Gallery(16)
    gallery.add([7], unit(1))
    with pytest.raises(ValueError, match="new, distinct and not negative"):
        gallery.add(ids, unit(2))
    assert len(gallery) == 1


def test_bad_embeddings_and_unknown_ids_are_refused() -> None:
    gallery = Gallery(16)
    with pytest.raises(ValueError, match=r"\(N, 16\), got \(1, 8\)"):
        gallery.add([1], unit(1, dim=8))
    with pytest.raises(ValueError, match="unit norm"):
        gallery.add([1], 2 * unit(1))
    with pytest.raises(ValueError, match="unit norm"):
        gallery.add([1], np.full((1, 16), np.nan))
    with pytest.raises(KeyError, match="not stored"):
        gallery.remove([1])
    with pytest.raises(ValueError, match="k must be"):
        gallery.search(unit(1), 0)


def test_above_a_size_cells_find_nearly_all_and_still_forget() -> None:
    centres = unit(200, seed=1)
    draw = np.random.default_rng(2)
    vectors = np.repeat(centres, 30, axis=0) + 0.05 * draw.standard_normal((6000, 16)).astype(np.float32)
    vectors = (vectors / np.linalg.norm(vectors, axis=1, keepdims=True)).astype(np.float32)
    exact, cells = Gallery(16), Gallery(16, max_exact=1000)
    for start in range(0, 6000, 500):
        ids = np.arange(start, start + 500)
        exact.add(ids, vectors[ids])
        cells.add(ids, vectors[ids])
    assert exact.is_exact
    assert not cells.is_exact
    truth, found = exact.search(vectors[::50], 10)[1], cells.search(vectors[::50], 10)[1]
    recall = np.mean([len(set(a) & set(b)) / 10 for a, b in zip(truth, found, strict=True)])
    assert recall > 0.97
    cells.remove(np.arange(400, 6000))
    assert cells.is_exact
    assert len(cells) == 400
    exact.remove(np.arange(400, 6000))
    np.testing.assert_array_equal(cells.search(vectors[:50], 5)[1], exact.search(vectors[:50], 5)[1])
