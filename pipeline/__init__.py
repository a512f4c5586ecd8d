"""The application: footage of many cameras in, cross-camera trajectories out."""

import sys

__version__ = "0.1.0"

# OpenVINO tells its maker of every import; without this module it does not. Nothing leaves the machine unasked.
sys.modules.setdefault("openvino_telemetry", None)  # type: ignore[arg-type]
