"""Box geometry on arrays: every function takes boxes as ``x0, y0, x1, y1`` pixels and is free of loops."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

Float = npt.NDArray[np.floating[Any]]

__all__ = ["buffered", "center_size", "corners", "iou_matrix", "lerp", "paired_iou"]

_TINY = 1e-9


def center_size(xyxy: Float) -> Float:
    """Turn ``(N, 4)`` corners into ``(N, 4)`` center x, center y, width, height."""
    size = xyxy[:, 2:] - xyxy[:, :2]
    return np.concatenate((xyxy[:, :2] + 0.5 * size, size), axis=1)


def corners(center: Float) -> Float:
    """Turn ``(N, 4)`` center x, center y, width, height into ``(N, 4)`` corners."""
    half = 0.5 * center[:, 2:]
    return np.concatenate((center[:, :2] - half, center[:, :2] + half), axis=1)


def buffered(xyxy: Float, ratio: float | Float) -> Float:
    """Grow boxes on each side by ``ratio`` of their width and height (Yang et al., C-BIoU, arXiv 2211.14317).

    Args:
        xyxy: ``(N, 4)``.
        ratio: one number, or ``(N,)``.
    """
    grow = np.asarray(ratio, xyxy.dtype).reshape(-1, 1) * (xyxy[:, 2:] - xyxy[:, :2])
    return np.concatenate((xyxy[:, :2] - grow, xyxy[:, 2:] + grow), axis=1)


def iou_matrix(first: Float, second: Float) -> Float:
    """Intersection over union of every pair.

    Args:
        first: ``(N, 4)``.
        second: ``(M, 4)``.

    Returns:
        ``(N, M)`` in [0, 1]; a box of no area overlaps nothing.
    """
    # (4, N, 1) against (4, 1, M): the long axis is innermost, which is what makes this fast.
    a, b = first.T[:, :, None], second.T[:, None, :]
    overlap = np.minimum(a[2:], b[2:]) - np.maximum(a[:2], b[:2])
    np.maximum(overlap, 0, out=overlap)
    shared = overlap[0] * overlap[1]
    union = ((a[2] - a[0]) * (a[3] - a[1]) + (b[2] - b[0]) * (b[3] - b[1])) - shared
    return np.asarray(shared / np.maximum(union, _TINY))


def greatest_overlap(xyxy: Float) -> Float:
    """How much any other of ``(N, 4)`` boxes overlaps each, as intersection over union: ``(N,)``."""
    overlap = iou_matrix(xyxy, xyxy)
    np.fill_diagonal(overlap, 0.0)
    return np.asarray(overlap.max(axis=1, initial=0.0))


def paired_iou(first: Float, second: Float) -> Float:
    """Intersection over union row by row: ``(N, 4)`` and ``(N, 4)`` give ``(N,)``."""
    overlap = np.minimum(first[:, 2:], second[:, 2:]) - np.maximum(first[:, :2], second[:, :2])
    shared = np.prod(np.maximum(overlap, 0), axis=1)
    area = np.prod(first[:, 2:] - first[:, :2], axis=1) + np.prod(second[:, 2:] - second[:, :2], axis=1)
    return np.asarray(shared / np.maximum(area - shared, _TINY))


def lerp(first: Float, second: Float, weight: Float) -> Float:
    """Straight line from box ``first`` to ``second``, both ``(4,)``, at ``weight`` ``(K,)``: ``(K, 4)``."""
    return np.asarray(first + weight[:, None] * (second - first))
