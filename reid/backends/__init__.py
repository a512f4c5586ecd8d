"""What runs a network: torch, ONNX Runtime or OpenVINO, all behind one protocol."""
