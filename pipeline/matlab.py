"""MATLAB files with one matrix: version 5 by scipy, version 7.3 (HDF5) by h5py where that is installed."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt


def read_matrix(path: Path, shape: tuple[int, int]) -> npt.NDArray[np.float64]:
    """The file's only matrix of this shape.

    Raises:
        OSError: the file cannot be read.
        ValueError: it holds none or several, or h5py is needed and missing.
    """
    arrays = _hdf5_arrays(path) if path.read_bytes()[:512].find(b"MATLAB 7.3") >= 0 else _arrays(path)
    found = [np.asarray(value, np.float64) for value in arrays if np.shape(value) == shape]
    if len(found) != 1:
        raise ValueError(f"expected one {shape[0]}x{shape[1]} matrix, found {len(found)}")
    return found[0]


def _arrays(path: Path) -> list[Any]:
    import scipy.io

    return [value for name, value in scipy.io.loadmat(path).items() if not name.startswith("__")]


def _hdf5_arrays(path: Path) -> list[Any]:
    """HDF5 stores columns first, so every matrix comes back transposed."""
    try:
        import h5py
    except ImportError as error:
        raise ValueError("MATLAB 7.3 files need h5py: pip install h5py") from error
    with h5py.File(path) as file:
        return [np.asarray(entry).T for entry in file.values() if isinstance(entry, h5py.Dataset)]
