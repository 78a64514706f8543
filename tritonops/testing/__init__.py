"""A real Triton in a container, for tests of your own models (docs/testing-your-models.md).

Install it as `tritonops[testing]`.
The fixtures are a pytest plugin of their own: `pytest_plugins = ["tritonops.testing.fixtures"]`.
"""

from tritonops.testing.container import TritonContainer
from tritonops.triton_image import DEFAULT_IMAGE

__all__ = ["DEFAULT_IMAGE", "TritonContainer"]
