from __future__ import annotations

import re
import tomllib
from pathlib import Path

import pytest

from tests.paths import PROJECT
from tritonops.errors import InputError
from tritonops.remote.client.inventory import HostSettings, load_inventory
from tritonops.remote.client.upload import models_of


def written(tmp_path: Path, text: str) -> Path:
    path = tmp_path / "hosts.toml"
    path.write_text(text)
    return path


def test_a_host_that_is_not_listed_has_the_defaults_and_no_file_is_needed(tmp_path):
    assert load_inventory(tmp_path / "hosts.toml").settings("gpu-09") == HostSettings("gpu-09", "gpu", "compose", ())


@pytest.mark.parametrize(
    "name",
    [
        "gpu-01",
        "root@gpu-01",
        "a@b@gpu-01",
        "ssh://gpu-01",
        "ssh://root@gpu-01",
        "ssh://root@gpu-01:2222",
        "ssh://gpu-01/",
    ],
)
def test_a_host_has_its_entry_for_any_user_and_spelling(tmp_path, name):
    text = '[hosts.gpu-01]\nconfig = "cpu"\nruntime = "embedded"\ngroups = ["eu"]\n'
    (host,) = load_inventory(written(tmp_path, text)).select([name], [])
    assert host == HostSettings(name, "cpu", "embedded", ("eu",))
    assert host.serves(["gpu-01"])
    assert host.serves(["eu"])
    assert not host.serves(["gpu-02"])


def test_an_entry_for_a_user_comes_before_that_of_the_host(tmp_path):
    text = '[hosts.gpu-01]\n[hosts."ann@gpu-01"]\nconfig = "cpu"\n[hosts."[::1]"]\nconfig = "cpu"\n'
    inventory = load_inventory(written(tmp_path, text))
    assert [inventory.settings(name).config for name in ("ann@gpu-01", "bob@gpu-01")] == ["cpu", "gpu"]
    assert inventory.settings("ssh://bob@[::1]:22").config == "cpu"


def test_hosts_and_groups_are_selected_once_each_in_order(tmp_path):
    text = '[hosts.b]\ngroups = ["eu"]\n[hosts.a]\ngroups = ["eu", "us"]\n'
    inventory = load_inventory(written(tmp_path, text))
    assert [host.name for host in inventory.select(["c", "a"], ["eu"])] == ["c", "a", "b"]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("[hosts.a]\nruntme = 'compose'\n", "a: unknown key 'runtme'"),
        ("[hosts.a]\nruntime = 'podman'\n", "a: runtime must be one of compose, embedded"),
        ("[hosts.a]\nruntime = 'embedded'\n", "a: the embedded runtime serves on CPU only"),
        ("[hosts.a]\ngroups = 'gpu'\n", "a: groups must be a list of names"),
        ("hosts = ['a']\n", "expected one table for each host"),
        ("[host.a]\n", "unknown key 'host'"),
        ("[hosts.a\n", "hosts.toml"),
    ],
    ids=["misspelt", "no such runtime", "embedded on GPU", "groups", "a list", "host", "not TOML"],
)
def test_what_is_wrong_is_named_with_its_host_and_key(tmp_path, text, message):
    with pytest.raises(InputError, match=re.escape(message)):
        load_inventory(written(tmp_path, text))


def test_the_commented_example_of_the_project_is_right(tmp_path):
    text = (PROJECT / "hosts.toml").read_text()
    example = "\n".join(line.removeprefix("# ") for line in text.splitlines() if re.match(r"# (\[|\w+ = )", line))
    (host,) = load_inventory(written(tmp_path, example)).hosts.values()
    assert host == HostSettings("gpu-01", "gpu", "compose", ("gpu", "eu"))


def test_a_host_gets_a_models_toml_of_the_entries_that_are_meant_for_it(tmp_path):
    path = tmp_path / "models.toml"
    entries = {"all": "", "mine": 'hosts = ["a"]\n', "group": 'hosts = ["eu"]\n', "other": 'hosts = ["b"]\n'}
    path.write_text("# ours\n" + "".join(f'[[models.{name}]]\npath = "x"\n{hosts}' for name, hosts in entries.items()))
    text = models_of(HostSettings("a", groups=("eu",)), path)
    assert text
    assert text.startswith("# ours")
    assert list(tomllib.loads(text)["models"]) == ["all", "mine", "group"]
    assert "hosts" not in text


def test_a_models_toml_that_names_no_hosts_is_the_same_for_all(tmp_path):
    path = tmp_path / "models.toml"
    path.write_text('[[models.all]]\npath = "x"\n')
    assert models_of(HostSettings("a"), path) is None
