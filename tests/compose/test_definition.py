"""One service of the merged Compose files, without Docker."""

import pytest

from tritonops.compose.definition import Definition, completes_configs, replicas, statements
from tritonops.errors import InputError
from tritonops.settings import load_settings


def definition(**service):
    return Definition("app", "triton", service)


def test_a_service_that_the_files_do_not_have_is_refused_with_the_near_misses():
    config = {"name": "app", "services": {"triton": {"image": "x"}}}
    assert Definition.of(config, "triton").image == "x"
    with pytest.raises(InputError, match="no service 'tritn'") as raised:
        Definition.of(config, "tritn")
    assert "triton" in str(raised.value.hint)


@pytest.mark.parametrize(
    ("service", "count"),
    [({}, 1), ({"scale": 2}, 2), ({"deploy": {"replicas": 0}}, 0), ({"scale": 1, "deploy": {"replicas": 3}}, 1)],
)
def test_the_number_of_containers_is_scale_or_replicas_or_one(service, count):
    assert replicas(service) == count
    if count != 1:
        with pytest.raises(InputError, match=f"has {count} containers"):
            definition(**service).require_single()


def test_a_port_on_the_loopback_of_another_machine_is_refused_for_grpc_alone():
    grpc = {"target": 8001, "published": "9001", "host_ip": "127.0.0.1"}
    http = {"target": 8000, "published": "9000", "host_ip": "127.0.0.1"}
    definition(ports=[grpc, http]).require_reachable(None)
    definition(ports=[http]).require_reachable("gpu-01")
    with pytest.raises(InputError, match="gpu-01"):
        definition(ports=[grpc]).require_reachable("gpu-01")


def test_the_hosts_network_wants_a_token_or_an_address():
    definition(network_mode="host").require_closed_network("secret")
    definition(network_mode="host", command=["tritonserver", "--grpc-address=127.0.0.1"]).require_closed_network(None)
    with pytest.raises(InputError, match="network_mode: host"):
        definition(network_mode="host").require_closed_network(None)


def test_what_the_files_leave_out_has_composes_defaults():
    empty = definition()
    assert (empty.image, empty.is_built, empty.pull_policy, empty.profiles) == ("app-triton", False, None, ())
    assert (empty.has_fixed_name, empty.has_fixed_address, empty.command, empty.ports) == (False, False, "", ())


def test_a_fixed_address_is_one_of_any_network():
    assert definition(networks={"a": None, "b": {"ipv4_address": "10.0.0.2"}}).has_fixed_address


def test_entry_point_and_command_are_one_text():
    assert definition(entrypoint="sh -c", command=["exec", "tritonserver"]).command == "sh -c exec tritonserver"


def test_only_numbered_ports_count():
    assert definition(ports=[{"target": 1, "published": "9001"}, {"target": 2}, {"published": "9-10"}]).ports == (
        {"target": 1, "published": "9001"},
    )


def test_the_models_of_a_remote_deploy_lie_below_its_root(tmp_path):
    source = tmp_path / "shared" / "triton"
    mount = {"target": "/models", "type": "bind", "source": str(source)}
    assert definition(volumes=[mount]).host_root is None
    (tmp_path / "releases").mkdir()
    assert definition(volumes=[mount]).host_root == tmp_path
    assert definition(volumes=[{"target": "/models", "type": "volume"}]).models_source is None


def test_comments_and_files_that_are_not_there_say_nothing(tmp_path):
    (tmp_path / "ml.yml").write_text("# one\n\na: 1\n  # two\nb: 2\n")
    assert list(statements([tmp_path / "ml.yml", tmp_path / "absent.yml"])) == ["a: 1", "b: 2"]


def test_a_server_completes_configs_unless_one_of_its_files_says_otherwise(tmp_path):
    (tmp_path / "ml.yml").write_text("command: [tritonserver] # --disable-nothing\n")
    (tmp_path / "mine.yml").write_text("command: [--disable-auto-complete-config]\n")
    assert completes_configs(load_settings(tmp_path, environ={}, cwd=tmp_path))
    assert not completes_configs(load_settings(tmp_path, environ={"COMPOSE_FILE": "mine.yml"}, cwd=tmp_path))
