"""HTTP for downloads. It knows neither models nor Triton."""
