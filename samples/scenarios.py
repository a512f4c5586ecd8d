"""The scenarios: which site, who is in it, how they behave, what goes wrong, and for how long."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

from samples.appearance import cars, people
from samples.campus import RESPONSES, campus
from samples.junction import junction
from samples.plan import Faults, Site
from samples.traffic import TrafficHabits
from samples.walkers import Habits
from samples.world import Cast


@dataclass(frozen=True, slots=True, eq=False)
class Scenario:
    """One staged stretch of time at a site. ``classes``: what a run on it should follow."""

    name: str
    site: Site
    cast: Cast
    seed: int
    duration_s: float
    classes: tuple[str, ...] = ("person",)


def _demo(seed: int) -> Scenario:
    """Fourteen people, four of them look-alikes of others, who visit two or three cameras in a minute; some traffic."""
    cast = Cast(tuple(people(seed, 14, 0.15)), tuple(cars(seed, 6)), Habits(), TrafficHabits(), parked=3)
    return Scenario("demo", campus(), cast, seed, 60.0)


def _crowd(seed: int) -> Scenario:
    """Sixty people in groups: occlusion everywhere."""
    habits = Habits(stops=(2, 4), away_s=(2.0, 8.0), pairs=0.5)
    cast = Cast(tuple(people(seed, 60, 0.1)), tuple(cars(seed, 6)), habits, parked=4)
    return Scenario("crowd", campus(), cast, seed, 60.0)


def _lookalikes(seed: int) -> Scenario:
    """Every person has a double who differs in two or three small things."""
    return Scenario(
        "lookalikes", campus(), Cast(tuple(people(seed, 20, 0.5)), tuple(cars(seed, 4))), seed, 60.0
    )


def _vehicles(seed: int) -> Scenario:
    """A junction with traffic turning through four cameras; a few people on the pavements, who are not followed."""
    traffic = TrafficHabits(away_s=(5.0, 25.0), entry_s=50.0, parks=0.25)
    cast = Cast(
        tuple(people(seed, 8)), tuple(cars(seed, 22, 0.15)), Habits(), traffic, parked=3, warmup_s=30.0
    )
    return Scenario("vehicles", junction(), cast, seed, 60.0, ("car", "truck", "bus"))


def _long(seed: int) -> Scenario:
    """Hours: ninety people and thirty vehicles who come, leave for minutes, and return."""
    habits = Habits(away_s=(60.0, 600.0), entry_s=400.0)
    traffic = TrafficHabits(away_s=(60.0, 400.0), entry_s=300.0, park_s=(60.0, 400.0))
    cast = Cast(
        tuple(people(seed, 90, 0.1)), tuple(cars(seed, 30)), habits, traffic, parked=4, warmup_s=120.0
    )
    return Scenario("long", campus(), cast, seed, 2 * 3600.0)


def _faults(seed: int) -> Scenario:
    """The demo with bad recordings: drops and a fast clock, a freeze, a clock jump, an offset nobody knows of."""
    broken = {
        "cam1": replace(RESPONSES["cam1"], drop_rate=0.08, drift_ppm=400.0),
        "cam2": replace(RESPONSES["cam2"], clock_offset_s=0.6),
        "cam3": replace(RESPONSES["cam3"], drop_rate=0.02),
        "cam4": replace(RESPONSES["cam4"], drop_rate=0.25),
    }
    faults = {"cam2": Faults(freeze_s=(20.0, 24.0)), "cam3": Faults(jump_at_s=30.0, jump_s=2.5)}
    return replace(_demo(seed), name="faults", site=campus(faults, broken))


SCENARIOS: dict[str, Callable[[int], Scenario]] = {
    "demo": _demo, "crowd": _crowd, "lookalikes": _lookalikes, "vehicles": _vehicles, "long": _long, "faults": _faults,
}  # fmt: skip


def scenario(name: str, seed: int, duration_s: float | None = None) -> Scenario:
    """The named scenario with the people and events of ``seed``.

    Raises:
        ValueError: no such scenario, or a duration that is not positive.
    """
    if name not in SCENARIOS:
        raise ValueError(f"no scenario {name!r}; there are {', '.join(SCENARIOS)}")
    made = SCENARIOS[name](seed)
    if duration_s is not None and not duration_s > 0:
        raise ValueError(f"duration_s must be positive, got {duration_s}")
    return made if duration_s is None else replace(made, duration_s=duration_s)
