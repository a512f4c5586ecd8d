"""The jigsaw's permutations, exactly."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from reid.jigsaw import jigsaw_order, jigsaw_parts


def test_orders_and_parts_are_those_of_the_reference(reference: Path) -> None:
    cases = json.loads((reference / "transreid_fixtures" / "jpm_shuffle.json").read_text())["cases"]
    for case in cases:
        count, shift, groups = case["num_patches"], case["shift_num"], case["group"]
        if not 1 <= shift <= count:
            with pytest.raises(ValueError, match="shift"):
                jigsaw_order(count, shift=shift, groups=groups)
            continue
        assert list(jigsaw_order(count, shift=shift, groups=groups)) == case["order"]
        parts = jigsaw_parts(count, shift=shift, groups=groups, divide_length=case["divide_length"])
        assert [list(part) for part in parts] == case["parts"]


def test_a_worked_example() -> None:
    assert jigsaw_order(12, shift=5, groups=2) == (5, 11, 6, 12, 7, 1, 8, 2, 9, 3, 10, 4)
    assert jigsaw_order(9, shift=5, groups=2) == (5, 1, 6, 2, 7, 3, 8, 4, 9, 3)
    assert jigsaw_parts(12, rearrange=False) == ((1, 2, 3), (4, 5, 6), (7, 8, 9), (10, 11, 12))
