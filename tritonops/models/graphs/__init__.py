"""ONNX files: their signature and operators, read without ONNX Runtime, and trials on it."""
