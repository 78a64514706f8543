"""What ssh wrote about a login."""

from __future__ import annotations

import pytest

from tritonops.remote.ssh.login_log import LoginLog

OWN = """\
OpenSSH_9.2p1 Debian-2+deb12u10, OpenSSL 3.0.19
debug1: Reading configuration data /home/me/.ssh/config
debug1: Setting implicit ProxyCommand from ProxyJump: ssh -l ann -p 2222 -F /tmp/x/config -v -W '[%h]:%p' bastion
debug1: Authenticating to gpu-01:22 as 'triton'
debug1: Server host key: ssh-ed25519 SHA256:abc
debug1: Offering public key: /home/me/.ssh/a key ED25519 SHA256:one explicit
debug1: Offering public key: me@laptop RSA SHA256:two agent
Warning: Permanently added 'x' (ED25519) to the list of known hosts.
triton@gpu-01: Permission denied (publickey).
"""
CLOSED = "kex_exchange_identification: Connection closed by remote host\nConnection closed by UNKNOWN port 65535\n"
HOP = """\
debug1: Setting implicit ProxyCommand from ProxyJump: ssh -F /tmp/x/config -v -W '[%h]:%p' outer
debug1: Server host key: ssh-rsa SHA256:def
ann@bastion: Permission denied (publickey).
"""


def test_the_reason_is_what_ssh_says_without_its_debugging():
    log = LoginLog(OWN, "")
    assert log.reason == "triton@gpu-01: Permission denied (publickey)."
    assert log.host_key == "ssh-ed25519 SHA256:abc"
    assert log.offered_keys == ["/home/me/.ssh/a key", "me@laptop"]
    assert log.is_authenticating
    assert log.hop == []


def test_a_banner_on_the_way_is_not_the_reason():
    assert LoginLog(OWN, "All is logged\n").reason == "triton@gpu-01: Permission denied (publickey)."


def test_where_a_jump_host_failed_it_is_the_one_that_gives_the_reason():
    log = LoginLog(OWN.replace("triton@gpu-01: Permission denied (publickey).\n", CLOSED), HOP)
    assert log.reason == "ann@bastion: Permission denied (publickey)."
    assert log.host_key == "ssh-rsa SHA256:def"
    assert log.hop == ["outer"]


def test_the_words_for_a_jump_host_keep_its_user_and_port():
    own = OWN.replace("triton@gpu-01: Permission denied (publickey).\n", CLOSED)
    assert LoginLog(own, "ann@bastion: Permission denied (publickey).\n").hop == ["-l", "ann", "-p", "2222", "bastion"]


@pytest.mark.parametrize("text", ["", "debug1: something\n", "OpenSSH_9.2p1\n"])
def test_without_a_reason_that_is_said(text):
    assert LoginLog(text, "").reason == "ssh ended without a reason"


def test_only_the_last_lines_are_shown():
    assert LoginLog("one\ntwo\nthree\nfour\n", "").reason == "two\nthree\nfour"
