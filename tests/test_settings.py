import pytest

from tritonops.errors import SettingsError
from tritonops.settings import load_settings


def test_without_env_everything_lies_in_the_project(tmp_path):
    settings = load_settings(tmp_path, environ={})
    assert settings.models_toml == tmp_path / "models.toml"
    assert settings.lock_path == tmp_path / "models.lock"
    assert settings.store_dir == tmp_path / ".store"
    assert settings.triton_url == "localhost:8001"


def test_a_relative_path_starts_at_the_project_in_dotenv_and_at_the_caller_in_the_environment(tmp_path):
    (tmp_path / ".env").write_text("TRITON_MODELS_DIR=served/triton\nMODELS_TOML=other.toml\n")
    cwd = tmp_path / "elsewhere"
    settings = load_settings(tmp_path, environ={"MODELS_TOML": "mine.toml"}, cwd=cwd)
    assert settings.models_dir == tmp_path / "served/triton"
    assert settings.store_dir == tmp_path / "served/.store"
    assert settings.models_toml == cwd / "mine.toml"


def test_the_environment_wins_over_dotenv_and_an_empty_value_counts_as_unset(tmp_path):
    (tmp_path / ".env").write_text("TRITON_EXPOSE_GRPC=9001\nTRITON_EXPOSE_HTTP=\nTRITON_TOKEN=file\n")
    settings = load_settings(tmp_path, environ={"TRITON_TOKEN": "environment"})
    assert settings.triton_token == "environment"
    assert (settings.triton_url, settings.http_port) == ("localhost:9001", 8000)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("TRITON_EXPOSE_HTTP", "http"),
        ("TRITON_EXPOSE_HTTP", "0"),
        ("TRITON_EXPOSE_GRPC", "65536"),
        ("TRITON_URL", "http://localhost:8001"),
        ("TRITON_URL", "localhost"),
        ("TRITON_RUNTIME", "kubernetes"),
        ("TRITON_BIND", "localhost"),
    ],
)
def test_a_wrong_value_names_the_variable_and_where_it_was_set(tmp_path, name, value):
    with pytest.raises(SettingsError, match=f"{name}=.*environment"):
        load_settings(tmp_path, environ={name: value})


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("TRITON_EXPOSE_HTTP", "8000=" * 1000),
        ("TRITON_RUNTIME", "x" * 5000),
        ("TRITON_MODELS_DIR", f"~{'x' * 5000}/triton"),
        ("TRITON_URL", f"user:secret@{'x' * 5000}"),
    ],
)
def test_a_long_wrong_value_leaves_room_for_where_it_was_set(tmp_path, name, value):
    (tmp_path / ".env").write_text(f"{name}={value}\n")
    with pytest.raises(SettingsError) as raised:
        load_settings(tmp_path, environ={})
    assert str(raised.value).startswith(f"{name}=")
    assert f"{tmp_path / '.env'}:1: " in str(raised.value)
    assert len(str(raised.value)) < 400 + len(str(tmp_path))


@pytest.mark.parametrize("name", ["MODELS_TOML", "TRITON_MODELS_DIR", "TRITON_CONFIG_DIR", "TRITON_STORE_DIR"])
@pytest.mark.parametrize("root", ["/", "//", "/.", "/tmp/.."])
def test_the_root_of_the_filesystem_is_no_place_for_files(tmp_path, name, root):
    with pytest.raises(SettingsError, match=rf"{name}=.* is the root of the filesystem"):
        load_settings(tmp_path, environ={name: root})


@pytest.mark.parametrize("store", ["triton", "triton/.store", "triton/clip/1", "triton-disabled/x", "link/.store"])
def test_the_store_is_kept_out_of_the_models_where_each_folder_would_be_one(tmp_path, store):
    (tmp_path / "triton").mkdir()
    (tmp_path / "link").symlink_to("triton")
    with pytest.raises(SettingsError, match=r"TRITON_STORE_DIR=.* where every folder is a model"):
        load_settings(tmp_path, environ={"TRITON_STORE_DIR": store}, cwd=tmp_path)


@pytest.mark.parametrize("store", [".store", "triton.store", "triton-disabled-store", "."])
def test_a_store_beside_the_models_or_above_them_is_taken(tmp_path, store):
    settings = load_settings(tmp_path, environ={"TRITON_STORE_DIR": store}, cwd=tmp_path)
    assert settings.store_dir == tmp_path / store


def test_a_catalog_with_the_name_of_its_lock_is_refused(tmp_path):
    with pytest.raises(SettingsError, match=r"MODELS_TOML=.*models\.lock.* expected another ending than \.lock"):
        load_settings(tmp_path, environ={"MODELS_TOML": "models.lock"})


@pytest.mark.parametrize("token", ["geheim ", "schlüssel", "two\nlines"])
def test_a_token_that_no_header_can_carry_is_refused_and_not_shown(tmp_path, token):
    with pytest.raises(SettingsError, match="TRITON_TOKEN in the environment: expected printable ASCII") as caught:
        load_settings(tmp_path, environ={"TRITON_TOKEN": token})
    assert token not in str(caught.value)


@pytest.mark.parametrize("end", ["\n", "\r\n"])
def test_a_secret_may_end_in_the_newline_of_its_file(tmp_path, end):
    assert load_settings(tmp_path, environ={"HF_TOKEN": f"s3cret{end}"}).hf_token == "s3cret"
    assert load_settings(tmp_path, environ={"TRITON_TOKEN": end}).triton_token is None


def test_secrets_are_not_shown(tmp_path):
    settings = load_settings(tmp_path, environ={"TRITON_TOKEN": "s3cret", "HF_TOKEN": "s3cret"})
    assert "s3cret" not in repr(settings)


@pytest.mark.parametrize(
    ("given", "meant"), [("0.0.0.0", "0.0.0.0"), ("::1", "[::1]"), ("[::1]", "[::1]"), ("", "127.0.0.1")]
)
def test_the_address_to_publish_on_is_as_compose_wants_it(tmp_path, given, meant):
    assert load_settings(tmp_path, environ={"TRITON_BIND": given}).bind == meant


@pytest.mark.parametrize(
    "name", ["TRITON_MODELS_DIR", "TRITON_CONFIG_DIR", "TRITON_STORE_DIR", "MODELS_TOML", "TRITON_SSH_CONFIG"]
)
def test_a_home_that_is_not_there_is_an_error_by_name(tmp_path, monkeypatch, name):
    monkeypatch.setenv("HOME", str(tmp_path))
    assert load_settings(tmp_path, environ={"TRITON_MODELS_DIR": "~/m/triton"}).models_dir == tmp_path / "m/triton"
    (tmp_path / ".env").write_text(f"{name}=~nosuchuser/x\n")
    for environ, where in (({}, ".env:1"), ({name: "~nosuchuser"}, "the environment")):
        with pytest.raises(SettingsError, match=rf"{name}='~nosuchuser.*{where}: names a user that .*'nosuchuser'"):
            load_settings(tmp_path, environ=environ)
    for home in ("", "relative"):
        monkeypatch.setenv("HOME", home)
        with pytest.raises(SettingsError, match=f"{name}='~/x'.*needs HOME"):
            load_settings(tmp_path, environ={name: "~/x"})


def test_a_long_value_hides_neither_its_line_nor_what_is_wrong(tmp_path):
    (tmp_path / ".env").write_text(f"# ports\nTRITON_EXPOSE_HTTP={'8' * 5000}\n")
    with pytest.raises(SettingsError, match=r"TRITON_EXPOSE_HTTP='8{78}… in .*\.env:2: expected a port number"):
        load_settings(tmp_path, environ={})
