"""The array type of this package: float64 where geometry is exact, float32 where there are many pixels."""

from __future__ import annotations

from typing import Any, TypeAlias

import numpy.typing as npt

Array: TypeAlias = npt.NDArray[Any]
