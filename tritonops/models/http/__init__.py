"""HTTP for downloads: connections, redirects, retries and deadlines. It knows neither models nor Triton."""
