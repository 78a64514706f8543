"""Ensembles: their wiring, their steps, and the tensors between these."""
