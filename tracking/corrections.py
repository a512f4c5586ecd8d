"""What a person decided about links: accepted, rejected and merged pairs, honoured as constraints."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

from tracking.types import TrackletKey

__all__ = ["Corrections", "KeyPair"]

KeyPair = tuple[TrackletKey, TrackletKey]


@dataclass(frozen=True, slots=True)
class Corrections:
    """Constraints on pairs of tracklets.

    Attributes:
        together: pairs that are one identity, whatever the evidence.
        apart: pairs that are two identities, not even through others.
    """

    together: tuple[KeyPair, ...] = ()
    apart: tuple[KeyPair, ...] = ()

    def __post_init__(self) -> None:
        both = {frozenset(pair) for pair in self.together} & {frozenset(pair) for pair in self.apart}
        if both:
            raise ValueError(f"links both accepted and rejected: {_names(both)}")

    def __bool__(self) -> bool:
        return bool(self.together or self.apart)

    @classmethod
    def from_dict(cls, plain: Mapping[str, Any]) -> Corrections:
        """Read ``{accept: [[a, b], ...], reject: [[a, b], ...], merge: [[a, b, c, ...], ...]}``.

        A tracklet is written ``camera/local_id``; ``merge`` lists any number of tracklets of one identity.

        Raises:
            ValueError: naming the entry that cannot be read.
        """
        unknown = sorted(set(plain) - {"accept", "reject", "merge"})
        if unknown:
            raise ValueError(f"links: unknown {', '.join(unknown)}; expected accept, reject, merge")
        accept, reject = _pairs(plain, "accept"), _pairs(plain, "reject")
        merged = [_keys("merge", number, entry) for number, entry in enumerate(plain.get("merge") or ())]
        chained = [pair for keys in merged for pair in pairwise(keys)]
        return cls(tuple(accept + chained), tuple(reject))


def _pairs(plain: Mapping[str, Any], name: str) -> list[KeyPair]:
    pairs = []
    for number, entry in enumerate(plain.get(name) or ()):
        keys = _keys(name, number, entry)
        if len(keys) != 2:
            raise ValueError(f"links: {name}[{number}]: expected two tracklets, got {len(keys)}")
        pairs.append((keys[0], keys[1]))
    return pairs


def _keys(name: str, number: int, entry: Sequence[Any]) -> list[TrackletKey]:
    return [_key(f"links: {name}[{number}]", text) for text in entry]


def _key(where: str, text: Any) -> TrackletKey:
    camera, slash, local = str(text).rpartition("/")
    if not slash or not camera or not local.isdigit():
        raise ValueError(f"{where}: expected camera/local_id, got {text!r}")
    return TrackletKey(camera, int(local))


def _names(pairs: Iterable[frozenset[TrackletKey]]) -> str:
    return ", ".join(sorted(" and ".join(sorted(map(str, pair))) for pair in pairs))
