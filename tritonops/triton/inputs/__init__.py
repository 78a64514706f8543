"""Inputs of an inference: values from a file, or zeros."""
