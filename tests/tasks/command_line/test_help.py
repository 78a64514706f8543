"""What `inv`, `inv --list` and `inv --help TASK` show."""

import pytest

from tasks.command_line.examples import EXAMPLES
from tasks.command_line.help import ENVIRONMENT, HEADINGS
from tasks.command_line.value_names import flag_of
from tests.paths import PROJECT
from tests.tasks.command_lines import CONTEXTS, TASKS
from tritonops import __version__


def test_inv_alone_fits_one_screen(inv):
    code, out, _ = inv()
    lines = out.splitlines()
    assert code == 0
    assert len(lines) < 24
    assert max(map(len, lines)) <= 80
    assert "inv --list" in out


def test_the_list_has_a_line_for_each_task_product_before_development(inv):
    code, out, _ = inv("--list")
    lines = out.splitlines()
    assert code == 0
    assert max(map(len, lines)) <= 80
    listed = [line.split()[0] for line in lines if line.startswith("  ")]
    assert sorted(listed) == sorted(TASKS)
    assert listed[0] == "quickstart"
    assert listed.index("remote.status") < listed.index("lint")


def test_the_list_of_one_group_has_nothing_else(inv):
    code, out, _ = inv("--list", "server")
    assert code == 0
    assert [line.split()[0] for line in out.splitlines()[1:]] == [name for name in TASKS if name.startswith("server.")]


@pytest.mark.parametrize("name", TASKS)
def test_the_help_of_a_task_has_usage_options_with_value_names_and_examples(inv, name):
    code, out, _ = inv("--help", name)
    assert code == 0
    assert out.startswith(f"Usage: inv {name}")
    for argument in CONTEXTS[name].args.values():
        if not argument.positional:
            assert f"  {flag_of(argument.name)}" in out
    assert out.count(f"  inv {EXAMPLES[name][0]}\n") == 1
    assert inv(name, "--help")[1] == out
    assert max(map(len, out.splitlines())) <= 100


def test_help_shows_arguments_value_names_defaults_and_variables(inv):
    out = inv("--help", "models.download")[1]
    assert "Usage: inv models.download [MODEL...] [--options]" in out
    assert "  --jobs N         Maximum number of connections (default: 64)." in out
    assert "HF_TOKEN" in out
    assert "Usage: inv triton.infer MODEL [--options]" in inv("--help", "triton.infer")[1]
    assert "Usage: inv triton.load MODEL... [--options]" in inv("--help", "triton.load")[1]


def test_the_version_is_that_of_tritonops_and_of_invoke(inv):
    code, out, _ = inv("--version")
    assert code == 0
    assert out.startswith(f"tritonops {__version__} (Invoke ")


def test_every_variable_of_help_is_in_the_example_environment():
    example = (PROJECT / ".env.example").read_text()
    others = {"HTTPS_PROXY"}
    assert {name for names in ENVIRONMENT.values() for name in names if name not in example} <= others
    assert {name.partition(".")[0] for name in TASKS if "." in name} <= HEADINGS.keys()
