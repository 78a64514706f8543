import pytest

from tritonops.compose.commands import Compose


@pytest.mark.parametrize(
    ("command", "words"),
    [
        (
            Compose(("ml.yml",), "ml").create(count=2),
            "docker compose --file ml.yml up --no-start --no-recreate --no-build --pull never --scale ml=2 ml",
        ),
        (Compose().build(), "docker compose build triton"),
        (
            Compose().run("x-probe", "tritonserver", "--help", ports=["127.0.0.1::8000/tcp", "9001:8001/tcp"]),
            "docker compose run --rm --no-deps --no-TTY --name x-probe --publish 127.0.0.1::8000/tcp"
            " --publish 9001:8001/tcp --entrypoint tritonserver triton --help",
        ),
        (
            Compose(("app.yml", "ml.yml")).remove(),
            "docker compose --file app.yml --file ml.yml rm --stop --force triton",
        ),
        (Compose(service="ml").pull(), "docker compose pull ml"),
        (Compose().logs(), "docker compose logs --no-log-prefix triton"),
        (
            Compose().logs(follow=True, tail=0, since="10m"),
            "docker compose logs --no-log-prefix --follow --tail 0 --since 10m triton",
        ),
        (Compose().ps(), "docker compose ps --all --format json triton"),
        (Compose().hash(), "docker compose config --hash triton"),
        (Compose().config(), "docker compose --profile * config --format json"),
    ],
)
def test_commands_name_the_files_and_touch_one_service_only(command, words):
    assert command == words.split()
