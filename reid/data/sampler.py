"""The PK sampler: batches of P identities with K images each, reproducible from a seed and the epoch number.

Source: Hermans et al. (arXiv 1703.07737), section 2. The epoch is a pure function of ``(seed, epoch)``, so
a run can be resumed at any batch without storing the sampler's state, and every rank of a distributed run
can build the same list.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence

import numpy as np

Batch = list[int]


def pk_batches(
    identities: Sequence[int], identities_per_batch: int, images_per_identity: int, seed: int, epoch: int
) -> list[Batch]:
    """One epoch of batches: indices into ``identities``, K consecutive ones per identity.

    Every identity's images are shuffled and cut into chunks of K (one with fewer than K images draws K with
    replacement; a remainder is left out of this epoch). Batches take a chunk each of P random identities
    until fewer than P identities have chunks left.

    Raises:
        ValueError: there are fewer than P identities, so not even one batch can be made.
    """
    generator = np.random.default_rng((seed, epoch))
    chunks = _chunks(identities, images_per_identity, generator)
    if len(chunks) < identities_per_batch:
        raise ValueError(
            f"batches of {identities_per_batch} identities need as many; the data has {len(chunks)}"
        )
    batches: list[Batch] = []
    while len(chunks) >= identities_per_batch:
        chosen = generator.choice(np.array(list(chunks)), identities_per_batch, replace=False)
        batches.append([index for identity in chosen for index in chunks[identity].pop()])
        for identity in chosen:
            if not chunks[identity]:
                del chunks[identity]
    return batches


def _chunks(
    identities: Sequence[int], images_per_identity: int, generator: np.random.Generator
) -> dict[int, list[Batch]]:
    """Shuffled chunks of K indices by identity."""
    members: dict[int, list[int]] = defaultdict(list)
    for index, identity in enumerate(identities):
        members[int(identity)].append(index)
    chunks = {}
    for identity, indices in members.items():
        few = len(indices) < images_per_identity
        order = generator.choice(indices, images_per_identity) if few else generator.permutation(indices)
        whole = len(order) - len(order) % images_per_identity
        chunks[identity] = order[:whole].reshape(-1, images_per_identity).tolist()
    return chunks


def rank_batches(batches: Sequence[Batch], rank: int, world_size: int) -> list[Batch]:
    """What one rank of a distributed run takes: batches r, r + W, ...; an incomplete last round is
    dropped."""
    rounds = len(batches) // world_size
    return [batches[turn * world_size + rank] for turn in range(rounds)]
