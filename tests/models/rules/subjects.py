"""Subjects of rules: a good config with some of its lines changed, on disk or not."""

from tests.models.corpus_cases import BASE_CONFIG
from tests.onnx_models import affine
from tritonops.models.configs.pbtxt import parse_config
from tritonops.models.rules.finding import Subject
from tritonops.models.rules.judged_server import server_of_image
from tritonops.triton_image import parse_image


def config(*edits, append=""):
    """Parse the good config, with `(old, new)` edits and appended lines."""
    text = BASE_CONFIG
    for old, new in edits:
        assert old in text, old
        text = text.replace(old, new, 1)
    return parse_config(text + append)


def subject(*edits, append="", home=None, versions=(1,), image="26.07", name="clip", gpus=None, server=None, **options):
    """A subject of that config, without files unless a `home` is given."""
    judged = config(*edits, append=append)
    server = server or server_of_image(parse_image(image), gpus=gpus)
    return Subject(name, judged, home, versions if home else (), server, **options)


def model_folder(tmp_path, name="clip"):
    """Make the folder of the good model, with its graph."""
    home = tmp_path / name
    (home / "1").mkdir(parents=True)
    (home / "1" / "model.onnx").write_bytes(affine().SerializeToString())
    return home


def codes(problems):
    """The codes of problems, sorted."""
    return sorted(problem.code for problem in problems)
