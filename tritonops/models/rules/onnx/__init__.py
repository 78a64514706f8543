"""A config against its ONNX graph, and a graph against the ONNX Runtime of the server."""
