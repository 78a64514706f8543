"""Models added to an empty catalogue."""

from tritonops.models.add import add_model
from tritonops.project import Project

CATALOG = "# The models of the house.\n"


def add(project, name="clip", **values):
    return add_model(Project(project), name, values, variant="cpu")


def from_hub(project, **values):
    return add(project, **{"repo_id": "team/clip", "model_path": "weights/model.onnx", **values})
