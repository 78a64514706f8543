import pytest

from tritonops.compose.commands import Compose


@pytest.mark.parametrize(
    ("command", "words"),
    [
        (Compose().up(), "docker compose up --detach --no-deps triton"),
        (
            Compose(("ml.yml",)).up(recreate=True),
            "docker compose --file ml.yml up --detach --no-deps --force-recreate triton",
        ),
        (Compose(("app.yml", "ml.yml")).down(), "docker compose --file app.yml --file ml.yml down triton"),
        (Compose(service="ml").pull(quiet=True), "docker compose pull --quiet ml"),
        (Compose().logs(), "docker compose logs --no-log-prefix triton"),
        (
            Compose().logs(follow=True, tail=0, since="10m"),
            "docker compose logs --no-log-prefix --follow --tail 0 --since 10m triton",
        ),
        (Compose().ps(), "docker compose ps --all --format json triton"),
        (Compose().container(), "docker compose ps --all --quiet triton"),
        (Compose().config(), "docker compose config --format json"),
    ],
)
def test_commands_name_the_files_and_touch_one_service_only(command, words):
    assert command == words.split()
