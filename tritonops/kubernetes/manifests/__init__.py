"""From a target and a release to the objects of a cluster, and their text."""
