"""The application: footage of many cameras in, cross-camera trajectories out."""

__version__ = "0.1.0"
