"""A cluster that exists, through kubectl."""
