"""The engine's machine: this one, or another one that DOCKER_HOST or a Docker context names.

Published ports have addresses of the engine's machine. On this machine, another server may have the same address.
"""

from __future__ import annotations

import socket
from collections.abc import Callable
from ipaddress import ip_address
from urllib.parse import urlsplit

from tritonops.errors import InputError

_EVERY = ("", "0.0.0.0", "::")  # noqa: S104


def is_loopback(host: str) -> bool:
    """Whether the name is a loopback address."""
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def is_this_machine(host: str) -> bool:
    """Whether the name is an address of this machine, to which a socket can be bound."""
    try:
        addresses = socket.getaddrinfo(host, 0, type=socket.SOCK_STREAM)
    except OSError:
        return False
    return all(_can_bind(family, address) for family, _, _, _, address in addresses)


def engine_machine(endpoint: str, is_same: Callable[[str], bool] = is_this_machine) -> str | None:
    """Name the machine of an endpoint such as tcp://gpu-01:2375; None for this machine."""
    host = urlsplit(endpoint).hostname
    return None if host is None or endpoint.startswith(("unix:", "npipe:", "fd:")) or is_same(host) else host


def reachable_address(host_ip: str, port: str, machine: str | None) -> str:
    """Give the address of a published port from this machine.

    Raises InputError for the loopback interface of another machine.
    """
    if host_ip in _EVERY:
        host_ip = machine or ("::1" if host_ip == "::" else "127.0.0.1")
    elif machine and ip_address(host_ip).is_loopback:
        raise InputError(
            f"the Docker engine is on {machine}, and the service publishes port {port} on {host_ip} of that machine, "
            "which this machine cannot reach",
            hint=f"Run it there: inv remote.deploy --host {machine}. "
            "For the engine of this machine: unset DOCKER_HOST; docker context use default",
        )
    return f"[{host_ip}]:{port}" if ":" in host_ip else f"{host_ip}:{port}"


def _can_bind(family: int, address: tuple[object, ...]) -> bool:
    try:
        with socket.socket(family, socket.SOCK_STREAM) as attempt:
            attempt.bind(address)
    except OSError:
        return False
    return True
