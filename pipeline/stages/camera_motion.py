"""Camera motion from pixels: sparse optical flow on the background (for moving or shaking cameras)."""

from __future__ import annotations

from typing import Any

import cv2
import numpy as np
import numpy.typing as npt

from tracking.types import FloatArray

__all__ = ["BackgroundFlow"]

_MIN_POINTS = 8


class BackgroundFlow:
    """Follows corners outside the boxes from frame to frame and fits one similarity to them.

    One instance per camera, implementing ``tracking.motion.CameraMotion``. Corners are found on the previous
    frame (Shi & Tomasi, 1994), followed by pyramidal Lucas-Kanade (Bouguet, 2000), and fitted with RANSAC.
    Where the picture does not allow an estimate (first frame, blank wall, cut) the answer is the identity.
    """

    def __init__(self, max_side_px: int = 480, max_corners: int = 300, max_residual_px: float = 2.0) -> None:
        """Work on a copy of the frame no larger than ``max_side_px``; inliers fit within ``max_residual_px``."""
        self._max_side_px = max_side_px
        self._max_corners = max_corners
        self._max_residual_px = max_residual_px
        self._previous: npt.NDArray[np.uint8] | None = None
        self._corners: Any = None

    def estimate(self, image: npt.NDArray[np.uint8], xyxy: FloatArray) -> FloatArray:
        """Return the ``(2, 3)`` float32 affine from the previous image's pixels to this one's.

        Args:
            image: ``(H, W, 3)`` uint8 BGR.
            xyxy: ``(N, 4)`` boxes of moving objects in this image; no corner is taken inside them.
        """
        scale = min(1.0, self._max_side_px / max(image.shape[:2]))
        gray = self._small_gray(image, scale)
        affine = self._since_previous(gray)
        affine[:, 2] /= scale
        self._previous = gray
        self._corners = cv2.goodFeaturesToTrack(
            gray, self._max_corners, 0.01, 8, mask=_background(gray.shape, xyxy * scale)
        )
        return affine.astype(np.float32)

    @staticmethod
    def _small_gray(image: npt.NDArray[np.uint8], scale: float) -> npt.NDArray[np.uint8]:
        small = (
            cv2.resize(image, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA) if scale < 1 else image
        )
        return np.asarray(cv2.cvtColor(small, cv2.COLOR_BGR2GRAY), dtype=np.uint8)

    def _since_previous(self, gray: npt.NDArray[np.uint8]) -> npt.NDArray[np.float64]:
        identity = np.eye(2, 3)
        if self._previous is None or self._previous.shape != gray.shape or self._corners is None:
            return identity
        moved, found, _ = cv2.calcOpticalFlowPyrLK(self._previous, gray, self._corners, None)
        kept = found.ravel() == 1
        if kept.sum() < _MIN_POINTS:
            return identity
        affine, inliers = cv2.estimateAffinePartial2D(
            self._corners[kept], moved[kept], ransacReprojThreshold=self._max_residual_px
        )
        if affine is None or inliers.sum() < max(_MIN_POINTS, 0.3 * kept.sum()):
            return identity
        return np.asarray(affine, dtype=np.float64)


def _background(shape: tuple[int, ...], xyxy: FloatArray) -> npt.NDArray[np.uint8]:
    """255 where corners may be taken."""
    mask = np.full(shape, 255, np.uint8)
    for x0, y0, x1, y1 in np.clip(np.rint(xyxy), 0, 1e6).astype(int):
        mask[y0:y1, x0:x1] = 0
    return mask
