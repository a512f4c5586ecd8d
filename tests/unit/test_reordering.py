"""Re-ranking inside association: common neighbours decide, and the threshold keeps its meaning."""

from __future__ import annotations

import numpy as np

from reid.reranking import re_rank, reciprocal_distances
from tests.simulated import corridor_site, pair_scores, unit
from tracking.association import AssociationConfig, associate


def test_pair_distances_are_the_jaccard_part_of_re_ranking():
    rng = np.random.default_rng(2)
    points = unit(rng.normal(size=(40, 8)))
    every = re_rank(points[:10], points[10:], k1=6, k2=3, original_weight=0.0)
    first, second = np.repeat(np.arange(10), 30), np.tile(np.arange(10, 40), 10)
    np.testing.assert_allclose(reciprocal_distances(points, k1=6, k2=3)(first, second), every.ravel(), atol=1e-5)


def test_association_with_it_is_no_worse_and_links_about_as_many():
    site = corridor_site(seed=5, identities=25)
    config = AssociationConfig(max_cosine_distance=0.4, max_gap_s=120.0)
    plain = associate(site.tracklets, config, topology=site.topology)
    again = associate(site.tracklets, config, topology=site.topology, rerank=reciprocal_distances)
    assert abs(len(plain) - len(again)) <= 0.2 * len(plain)
    scores = [pair_scores(site, [one.tracklets for one in found]) for found in (plain, again)]
    assert min(scores[1]) > min(scores[0]) - 0.05
