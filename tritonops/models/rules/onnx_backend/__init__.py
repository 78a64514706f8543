"""What NVIDIA's ONNX Runtime backend reads of a config besides its tensors."""
