"""Plans: signs, counts, and Markdown for pull requests."""

from tasks.output.plan_output import markdown_plan, show_plan
from tritonops.triton.plan.plan import Plan, PlannedModel, PlannedVersion


def row(name, *actions, version=1, server=None, reason=None):
    return PlannedVersion(name, version, True, "installed", server, actions, reason)


PLAN = Plan(
    (
        PlannedModel("new", (row("new", "download", "load", reason="not on disk"),)),
        PlannedModel("edited", (row("edited", "load", server="READY", reason="a | b"),), diff="--- a\n+++ b\n-``` \n"),
        PlannedModel("gone", (row("gone", "unload", server="READY"),)),
        PlannedModel("same", (row("same", "unchanged", server="READY"),)),
        PlannedModel("stuck", (row("stuck", "blocked", reason="edited on disk"),)),
    )
)


def test_each_change_has_a_sign_and_the_last_line_counts_models(capfd):
    show_plan(PLAN, format="text")
    out = capfd.readouterr().out
    signs = {line.split()[1].partition("/")[0]: line[0] for line in out.splitlines()[1:5]}
    assert signs == {"new": "+", "edited": "~", "gone": "-", "stuck": "!"}
    assert "same" not in out
    assert out.endswith("\n5 models: 1 to add, 1 to change, 1 to remove, 1 blocked\n")


def test_the_text_has_the_diff_of_a_config_that_is_replaced_and_not_of_a_new_one(capfd):
    fresh = PlannedModel("new", (row("new", "config"),), diff="--- /dev/null\n+++ triton-config\n+new: 1\n")
    known = PlannedModel("edited", (row("edited", "config"),), config_on_disk="", diff="--- a\n+++ b\n+edited: 1\n")
    show_plan(Plan((fresh, known)), format="text")
    out = capfd.readouterr().out
    assert "edited: 1" in out
    assert "new: 1" not in out
    show_plan(Plan((fresh, known)), format="markdown")
    assert "new: 1" in capfd.readouterr().out


def test_markdown_has_a_table_and_folded_diffs_that_no_content_ends(capfd):
    show_plan(PLAN, format="markdown")
    lines = capfd.readouterr().out.splitlines()
    assert lines[:3] == ["### triton.plan", "", "5 models: 1 to add, 1 to change, 1 to remove, 1 blocked"]
    assert "| ~ | edited/1 | installed | READY | load | a \\| b |" in lines
    assert lines[lines.index("<details><summary>edited</summary>") + 2] == "````diff"


def test_a_model_that_models_toml_does_not_have_is_reported_without_a_sign(capfd):
    foreign = PlannedVersion("foreign", 1, False, "installed", "READY", ("unchanged",), "not in models.toml")
    show_plan(Plan((PlannedModel("foreign", (foreign,)), PLAN.models[3])), format="text")
    out = capfd.readouterr().out
    assert out.splitlines()[1].split() == ["foreign/1", "installed", "READY", "unchanged", "not", "in", "models.toml"]
    assert "same" not in out
    assert out.endswith("\n2 models: 0 to add, 0 to change, 0 to remove\n")


def test_a_plan_without_changes_is_its_count(capfd):
    show_plan(Plan((PLAN.models[3],)), format="text")
    assert capfd.readouterr().out == "1 model: 0 to add, 0 to change, 0 to remove\n"
    assert markdown_plan("title", "nothing", ("a",), [], {}) == ["### title", "", "nothing"]
