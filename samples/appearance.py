"""How people and vehicles look: hundreds of distinct appearances from a seed, and deliberate look-alikes.

Colours are drawn around named dyes, in display (sRGB) values, and stored as the linear albedo the renderer wants.
The appearance of identity ``i`` under seed ``s`` depends on ``(s, i)`` only through one generator, so that two seeds
never share a person.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Literal, TypeVar

import numpy as np

from samples.types import CarAppearance, Colour, PersonAppearance

T = TypeVar("T")

DYES = {
    "black": "1c1c20", "charcoal": "3c3e44", "grey": "80848a", "silver": "b4b6b8", "white": "eceae4",
    "navy": "1e2a4e", "blue": "2c56b0", "sky": "7fb2dc", "teal": "1e7d7a", "mint": "9fd8bc",
    "green": "2f7d3a", "olive": "6a6b34", "lime": "a6c83c", "yellow": "ecc732", "mustard": "b98a24",
    "orange": "e07a22", "rust": "a24a22", "red": "c02a2e", "burgundy": "66202e", "pink": "e69ab0",
    "magenta": "b8347e", "purple": "63388c", "lilac": "b49fd0", "beige": "cfb994", "brown": "6b4a32",
}  # fmt: skip
TOPS = tuple(DYES)
BOTTOMS = (
    "black",
    "charcoal",
    "grey",
    "navy",
    "blue",
    "beige",
    "brown",
    "olive",
    "white",
    "burgundy",
    "teal",
    "sky",
)
SHOES = ("black", "white", "brown", "grey", "red", "navy", "beige")
SKINS = ("f0cdb2", "e3b48f", "c99068", "a06c46", "74492e", "4a2e20")
HAIRS = ("17130f", "2e2018", "5a3a22", "8a5c30", "c49a58", "9a9a98", "7c2e16", "d8d4cc")
PAINTS = {
    "white": "e6e6e2", "black": "18181a", "silver": "a6aaae", "graphite": "4a4e54", "red": "a81e20",
    "blue": "1e428e", "navy": "18244a", "green": "1e5636", "yellow": "dcb020", "orange": "cc5a1a",
    "beige": "b8a684", "brown": "523626", "sky": "74a0c4", "burgundy": "561822", "teal": "14686c",
}  # fmt: skip

# shape: (length, width, height) in metres and its share of the traffic
SHAPES: dict[str, tuple[tuple[float, float, float], float]] = {
    "hatchback": ((4.0, 1.75, 1.48), 0.22),
    "saloon": ((4.6, 1.80, 1.43), 0.20),
    "estate": ((4.7, 1.82, 1.48), 0.14),
    "suv": ((4.5, 1.88, 1.70), 0.18),
    "van": ((5.0, 1.95, 2.05), 0.10),
    "pickup": ((5.2, 1.90, 1.80), 0.06),
    "truck": ((7.0, 2.30, 3.00), 0.06),
    "bus": ((9.5, 2.50, 3.10), 0.04),
}
VEHICLE_CLASS = {"truck": "truck", "bus": "bus"}


def vehicle_class(appearance: CarAppearance) -> Literal["car", "truck", "bus"]:
    """The detector class of a vehicle shape; vans and pickups are cars."""
    return VEHICLE_CLASS.get(appearance.shape, "car")  # type: ignore[return-value]


def linear(hex_srgb: str) -> Colour:
    """Linear BGR albedo of an sRGB colour written ``rrggbb``."""
    return _to_linear(np.array([int(hex_srgb[i : i + 2], 16) for i in (4, 2, 0)]) / 255.0)


def _to_linear(display_bgr: np.ndarray) -> Colour:
    blue, green, red = (float(value) for value in np.clip(display_bgr, 0.0, 1.0) ** 2.2)
    return blue, green, red


def _dyed(rng: np.random.Generator, hex_srgb: str, spread: float = 0.05) -> Colour:
    """A colour near a dye: brightness and each channel move a little."""
    display = np.array([int(hex_srgb[i : i + 2], 16) for i in (4, 2, 0)]) / 255.0
    return _to_linear(display * rng.normal(1.0, 1.5 * spread) + rng.normal(0.0, 0.6 * spread, 3))


def _choose(rng: np.random.Generator, values: tuple[T, ...], weights: tuple[float, ...] | None = None) -> T:
    share = None if weights is None else np.asarray(weights) / np.sum(weights)
    return values[int(rng.choice(len(values), p=share))]


def _dye(rng: np.random.Generator, names: tuple[str, ...]) -> Colour:
    return _dyed(rng, DYES[_choose(rng, names)])


def person(rng: np.random.Generator) -> PersonAppearance:
    """One random person."""
    slender = rng.random() < 0.5
    height = float(np.clip(rng.normal(1.66 if slender else 1.78, 0.075), 1.48, 1.98))
    return PersonAppearance(
        height_m=height,
        build=float(np.clip(rng.normal(0.95 if slender else 1.05, 0.11), 0.8, 1.3)),
        skin=_dyed(rng, _choose(rng, SKINS), 0.03),
        hair=_dyed(rng, _choose(rng, HAIRS), 0.03),
        hair_style=_choose(rng, ("short", "long", "bun", "bald"), (0.5, 0.27, 0.13, 0.1)),
        top=_dye(rng, TOPS),
        top_pattern=_choose(
            rng, ("plain", "stripes", "bands", "checks", "logo", "half"), (0.5, 0.12, 0.1, 0.08, 0.1, 0.1)
        ),
        top_accent=_dye(rng, TOPS),
        sleeves=_choose(rng, ("long", "short"), (0.6, 0.4)),
        coat=bool(rng.random() < 0.2),
        bottom=_dye(rng, BOTTOMS),
        bottom_kind=_choose(rng, ("trousers", "shorts", "skirt"), (0.68, 0.17, 0.15)),
        shoes=_dye(rng, SHOES),
        bag=_choose(rng, ("none", "backpack", "shoulder", "hand"), (0.46, 0.26, 0.16, 0.12)),
        bag_colour=_dye(rng, TOPS),
        hat=_choose(rng, ("none", "cap", "beanie"), (0.76, 0.14, 0.10)),
        hat_colour=_dye(rng, TOPS),
    )


def lookalike(original: PersonAppearance, rng: np.random.Generator) -> PersonAppearance:
    """Somebody easily mistaken for ``original``: same garments, with two or three small things changed."""
    changes = {
        "bag": {"bag": "backpack" if original.bag != "backpack" else "none", "bag_colour": _dye(rng, TOPS)},
        "bottom": {"bottom": _dye(rng, BOTTOMS)},
        "hair": {
            "hair": _dyed(rng, _choose(rng, HAIRS)),
            "hair_style": "long" if original.hair_style != "long" else "short",
        },
        "hat": {"hat": "cap" if original.hat == "none" else "none", "hat_colour": _dye(rng, TOPS)},
        "shoes": {"shoes": _dye(rng, SHOES)},
        "body": {"height_m": float(np.clip(original.height_m + rng.choice([-0.11, 0.11]), 1.48, 1.98))},
    }
    picked = rng.choice(list(changes), size=3, replace=False)
    fields = {name: value for key in picked for name, value in changes[str(key)].items()}
    return replace(original, **fields)  # type: ignore[arg-type]


def car(rng: np.random.Generator) -> CarAppearance:
    """One random vehicle."""
    shape = _choose(rng, tuple(SHAPES), tuple(share for _, share in SHAPES.values()))
    length, width, height = SHAPES[shape][0]
    paint = _dyed(rng, PAINTS[_choose(rng, tuple(PAINTS))], 0.04)
    contrast_roof = rng.random() < 0.15
    return CarAppearance(
        shape=shape,  # type: ignore[arg-type]
        paint=paint,
        length_m=float(length * rng.uniform(0.94, 1.06)),
        width_m=float(width * rng.uniform(0.97, 1.03)),
        height_m=float(height * rng.uniform(0.96, 1.05)),
        roof=_dyed(rng, PAINTS[_choose(rng, ("black", "white"))]) if contrast_roof else paint,
        stripe=_dyed(rng, PAINTS[_choose(rng, tuple(PAINTS))])
        if rng.random() < (0.6 if height > 2 else 0.15)
        else None,
        roof_rack=bool(height < 1.8 and rng.random() < 0.2),
    )


def likeness(a: PersonAppearance, b: PersonAppearance) -> float:
    """How far apart two people look, 0 for twins; display-colour differences weighted by their share of the figure."""

    def apart(first: Colour, second: Colour) -> float:
        return float(np.linalg.norm(np.power(first, 1 / 2.2) - np.power(second, 1 / 2.2)))

    colours = 0.45 * apart(a.top, b.top) + 0.35 * apart(a.bottom, b.bottom) + 0.05 * apart(a.shoes, b.shoes)
    heads = 0.08 * apart(a.hair, b.hair) + 0.04 * apart(a.skin, b.skin)
    kinds = sum(
        weight * (getattr(a, name) != getattr(b, name))
        for name, weight in (("bag", 0.06), ("hat", 0.05), ("top_pattern", 0.08), ("bottom_kind", 0.08),
                             ("coat", 0.07), ("sleeves", 0.04), ("hair_style", 0.04))
    )  # fmt: skip
    return colours + heads + kinds + 0.3 * abs(a.height_m - b.height_m)


def people(
    seed: int, count: int, lookalike_share: float = 0.0, min_likeness: float = 0.3
) -> list[PersonAppearance]:
    """``count`` people of a seed, any two at least ``min_likeness`` apart while that can be had.

    The last ``lookalike_share`` of them are look-alikes of the first ones, in order.
    """
    rng = np.random.default_rng([seed, 101])
    copies = min(round(count * lookalike_share), count // 2)
    cast: list[PersonAppearance] = []
    while len(cast) < count - copies:
        cast.append(_unlike(rng, cast[-60:], min_likeness))
    return cast + [lookalike(cast[index], rng) for index in range(copies)]


def _unlike(
    rng: np.random.Generator, others: list[PersonAppearance], min_likeness: float
) -> PersonAppearance:
    for attempt in range(60):
        candidate = person(rng)
        wanted = min_likeness * (1 - attempt / 60)
        if all(likeness(candidate, other) >= wanted for other in others):
            break
    return candidate


def cars(seed: int, count: int, lookalike_share: float = 0.0) -> list[CarAppearance]:
    """``count`` vehicles of a seed; the last ``lookalike_share`` repeat the shape and nearly the paint of the first."""
    rng = np.random.default_rng([seed, 102])
    copies = min(round(count * lookalike_share), count // 2)
    fleet = [car(rng) for _ in range(count - copies)]
    return fleet + [
        replace(fleet[i], roof_rack=not fleet[i].roof_rack, stripe=_dyed(rng, PAINTS["white"]))
        for i in range(copies)
    ]
