"""People and vehicles of the synthetic site: many, distinct, by seed, with look-alikes on purpose."""

from __future__ import annotations

import numpy as np

from samples.appearance import cars, likeness, people, vehicle_class


def test_a_seed_always_makes_the_same_people():
    assert people(4, 30, 0.2) == people(4, 30, 0.2)
    assert cars(4, 12) == cars(4, 12)


def test_seeds_share_nobody():
    assert set(people(4, 80)).isdisjoint(people(5, 80))
    assert set(cars(4, 50)).isdisjoint(cars(5, 50))


def test_hundreds_of_people_look_different():
    cast = people(1, 200)
    assert len(set(cast)) == 200
    nearest = [min(likeness(a, b) for b in cast if b is not a) for a in cast[:12]]
    assert np.median(nearest) > 0.25


def test_lookalikes_are_close_to_their_originals_but_not_the_same():
    cast = people(2, 40, 0.5)
    doubles = [likeness(cast[i], cast[20 + i]) for i in range(20)]
    strangers = [likeness(cast[i], cast[(i + 7) % 20]) for i in range(20)]
    assert min(doubles) > 0.005
    assert np.median(doubles) < 0.5 * np.median(strangers)


def test_albedo_and_sizes_are_in_range():
    for person in people(3, 100):
        assert 1.45 <= person.height_m <= 2.0
        assert 0.8 <= person.build <= 1.3
        for colour in (person.top, person.bottom, person.skin, person.hair, person.shoes):
            assert all(0 <= channel <= 1 for channel in colour)


def test_vehicle_classes():
    fleet = cars(1, 200)
    assert {vehicle_class(car) for car in fleet} == {"car", "truck", "bus"}
    assert all(vehicle_class(car) == car.shape for car in fleet if car.shape in ("truck", "bus"))
