"""Many files over many connections. It knows neither models nor Triton."""
