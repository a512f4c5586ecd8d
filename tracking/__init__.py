"""Geometry, single-camera tracking, cross-camera association and scoring over numpy arrays."""
