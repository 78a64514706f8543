"""Settings of ssh_config, known_hosts, sshd_config, keys and agents that people have, each as a case.

`{name}` stands for what tests/remote/ssh/test_settings.py prepares: a file of its folder, a port, a key as
known_hosts writes it. Whether a case is reached is ssh's own answer.
"""

from __future__ import annotations

from dataclasses import dataclass

DEFAULTS = """\
HostName 127.0.0.1
IdentityFile {folder}/id
UserKnownHostsFile {folder}/known_hosts
GlobalKnownHostsFile none
IdentityAgent none
ConnectTimeout 5
"""


@dataclass(frozen=True)
class Case:
    """The lines of one host in ssh_config, before the defaults; `known` is its known_hosts."""

    name: str
    options: str = ""
    server: str = "plain"
    """Which sshd: see `SERVERS`."""
    known: str = "[127.0.0.1]:{port} {key}"
    host: str = "h"
    """What is given to --host."""
    config: str = "Host h\n{options}\nPort {port}\n{defaults}"
    agent: str = ""
    """The agent of SSH_AUTH_SOCK: "ours" has our key, "many" has eight others first, "" is none."""
    is_about_sharing: bool = False
    """Whether ssh fails over its own control socket, in whose place we have ours."""


SERVERS: dict[str, dict[str, str]] = {
    "plain": {},
    "jump": {},
    "inner": {},
    "certified": {"HostCertificate": "{folder}/certified/host_key-cert.pub"},
    "user-ca": {"TrustedUserCAKeys": "{folder}/ca.pub", "AuthorizedKeysFile": "none"},
    "chacha": {"Ciphers": "chacha20-poly1305@openssh.com"},
    "post-quantum": {"KexAlgorithms": "sntrup761x25519-sha512@openssh.com"},
    "other-kex": {"KexAlgorithms": "diffie-hellman-group14-sha256"},
    "one-session": {"MaxSessions": "1"},
    "ten-sessions": {"MaxSessions": "10"},
    "no-forwarding": {"AllowTcpForwarding": "no"},
    "banner": {"Banner": "{folder}/banner.txt"},
    "denied": {"DenyUsers": "*"},
    "rsa": {"HostKey": "{folder}/rsa_host_key"},
}
UNKNOWN = ""
CASES = [
    Case("nothing special"),
    Case("the local user", "User {user}"),
    Case("user@host", host="{user}@h"),
    Case("ssh://user@host:port", host="ssh://{user}@h:{port}", config="Host h\n{defaults}"),
    Case("a name without an entry", host="127.0.0.1", config="{options}\nPort {port}\n{defaults}"),
    Case("Include", config="Include {folder}/included\n", known="[127.0.0.1]:{port} {key}"),
    Case("Include, a path with a space", config='Include "{folder}/a folder/included"\n'),
    Case("Include, a pattern", config="Include {folder}/inclu*ed\n"),
    Case("Match host", config="Match host h\nPort {port}\n{defaults}"),
    Case("Match originalhost", config="Match originalhost h\nPort {port}\n{defaults}"),
    Case("Match exec", config='Match host h exec "test %n = h"\nPort {port}\n{defaults}'),
    Case("Match final", config="Host h\n{defaults}\nMatch final host 127.0.0.1\nPort {port}\n"),
    Case("Match all", config="Match all\nPort {port}\n{defaults}"),
    Case("Host with patterns", config="Host * !gpu\nPort {port}\n{defaults}"),
    Case("key = value", config="Host=h\nPort={port}\n{defaults}"),
    Case("CanonicalizeHostname", "CanonicalizeHostname yes\nCanonicalDomains example.invalid"),
    Case("IgnoreUnknown", "IgnoreUnknown UseKeychain\nUseKeychain yes"),
    Case("an unknown option", "UseKeychain yes"),
    Case("a wrong value", "Compression perhaps"),
    Case("RemoteCommand", "RemoteCommand /bin/false"),
    Case("RequestTTY force", "RequestTTY force"),
    Case("RemoteCommand and RequestTTY, as for tmux", "RemoteCommand tmux attach\nRequestTTY yes"),
    Case("StdinNull", "StdinNull yes"),
    Case("ForkAfterAuthentication", "ForkAfterAuthentication yes"),
    Case("SessionType default", "SessionType default"),
    Case("LocalForward", "LocalForward {free} 127.0.0.1:22"),
    Case("LocalForward of a taken port", "LocalForward {port} 127.0.0.1:22"),
    Case("RemoteForward", "RemoteForward {free} 127.0.0.1:22"),
    Case("DynamicForward", "DynamicForward {free}"),
    Case("ForwardAgent and ForwardX11", "ForwardAgent yes\nForwardX11 yes\nForwardX11Trusted yes"),
    Case("LogLevel QUIET", "LogLevel QUIET"),
    Case("LogLevel DEBUG3", "LogLevel DEBUG3"),
    Case("ControlMaster auto", "ControlMaster auto\nControlPath {folder}/%C\nControlPersist 2"),
    Case("a dead control socket", "ControlMaster auto\nControlPath {folder}/dead\nControlPersist yes"),
    Case("a control path too long", "ControlMaster auto\nControlPath {folder}/{long}", is_about_sharing=True),
    Case("Compression", "Compression yes"),
    Case("ConnectionAttempts", "ConnectionAttempts 2\nConnectTimeout 3"),
    Case("BindAddress", "BindAddress 127.0.0.1"),
    Case("AddressFamily inet6", "AddressFamily inet6"),
    Case("SetEnv and SendEnv", "SetEnv A=b\nSendEnv LC_*"),
    Case("LocalCommand", "PermitLocalCommand yes\nLocalCommand true"),
    Case("EscapeChar and VisualHostKey", "EscapeChar none\nVisualHostKey yes"),
    Case("BatchMode no, password prompts", "BatchMode no\nNumberOfPasswordPrompts 3"),
    Case("a slow keepalive", "ServerAliveInterval 600\nTCPKeepAlive no"),
    Case("nothing listens", config="Host h\nPort {free}\n{defaults}"),
    Case("a name that is nowhere", "HostName no-such-host.invalid"),
    # known_hosts
    Case("an unknown key", known=UNKNOWN),
    Case("an unknown key, StrictHostKeyChecking no", "StrictHostKeyChecking no", known=UNKNOWN),
    Case("an unknown key, StrictHostKeyChecking accept-new", "StrictHostKeyChecking accept-new", known=UNKNOWN),
    Case("a changed key", known="[127.0.0.1]:{port} {other_key}"),
    Case("the old key and the new one", known="[127.0.0.1]:{port} {other_key}\n[127.0.0.1]:{port} {key}"),
    Case("the key without the port", known="127.0.0.1 {key}"),
    Case("a pattern", known="[127.0.0.*]:{port} {key}"),
    Case("a pattern that excludes it", known="[127.0.0.*]:{port},![127.0.0.1]:{port} {key}"),
    Case("several names", known="gpu,[127.0.0.1]:{port},10.0.0.1 {key}"),
    Case("a hashed name", known="{hashed}"),
    Case("HostKeyAlias", "HostKeyAlias gpu", known="gpu {key}"),
    Case("a comment, and an empty line", known="# mine\n\n[127.0.0.1]:{port} {key} me@here"),
    Case("a damaged line before", known="[127.0.0.1]:{port} ssh-ed25519 AAAA!\n[127.0.0.1]:{port} {key}"),
    Case("a line that is not UTF-8", known="h\udcff ssh-ed25519 \udcfe\n[127.0.0.1]:{port} {key}"),
    Case("@cert-authority of another host", known="@cert-authority *.example.com {ca}\n[127.0.0.1]:{port} {key}"),
    Case("@revoked of another key", known="@revoked * {other_key}\n[127.0.0.1]:{port} {key}"),
    Case("@revoked of its key", known="@revoked * {key}\n[127.0.0.1]:{port} {key}"),
    Case("a host certificate", server="certified", known="@cert-authority [127.0.0.1]:* {ca}"),
    Case("a host certificate of another authority", server="certified", known="@cert-authority * {other_key}"),
    Case("UserKnownHostsFile, two files", 'UserKnownHostsFile {folder}/none "{folder}/a folder/known"', known=UNKNOWN),
    Case("GlobalKnownHostsFile", "GlobalKnownHostsFile {folder}/global_known", known=UNKNOWN),
    Case("KnownHostsCommand", "KnownHostsCommand /bin/cat {folder}/from_command", known=UNKNOWN),
    Case("an RSA host key", server="rsa", known="[127.0.0.1]:{port} {rsa_key}"),
    Case("HostKeyAlgorithms that it has not", "HostKeyAlgorithms rsa-sha2-512"),
    Case("UpdateHostKeys", "UpdateHostKeys yes"),
    # keys and agents
    Case("a key that it does not know", "IdentityFile {folder}/other\nIdentitiesOnly yes", server="denied"),
    Case("a key with a passphrase", "IdentityFile {folder}/locked\nIdentitiesOnly yes", config="{key_only}"),
    Case("a key that others can read", "IdentityFile {folder}/open\nIdentitiesOnly yes", config="{key_only}"),
    Case("a wrong key before the right one", "IdentityFile {folder}/other"),
    Case("a key that is not there", "IdentityFile {folder}/nowhere"),
    Case("a path with a space", 'IdentityFile "{folder}/a folder/id"\nIdentitiesOnly yes', config="{key_only}"),
    Case("tokens in a path", "IdentityFile {folder}/id_%n_%p\nIdentitiesOnly yes", config="{key_only}"),
    Case("SSH_AUTH_SOCK", "IdentityAgent SSH_AUTH_SOCK", agent="ours", config="{key_only}"),
    Case("IdentityAgent", "IdentityAgent {folder}/agent-ours", config="{key_only}"),
    Case("an agent with eight other keys", "IdentityAgent SSH_AUTH_SOCK", agent="many", config="{key_only}"),
    Case(
        "eight other keys, IdentitiesOnly and a .pub",
        "IdentityAgent SSH_AUTH_SOCK\nIdentityFile {folder}/id.pub\nIdentitiesOnly yes",
        agent="many",
        config="{key_only}",
    ),
    Case("an agent that is gone", "IdentityAgent {folder}/dead"),
    Case("a user certificate", "CertificateFile {folder}/user-cert.pub", server="user-ca"),
    Case("no user certificate where one is needed", server="user-ca"),
    Case("PubkeyAuthentication no", "PubkeyAuthentication no"),
    Case("PreferredAuthentications password", "PreferredAuthentications password"),
    # proxies
    Case("ProxyJump", "ProxyJump jump"),
    Case("ProxyJump twice", "ProxyJump jump,inner"),
    Case("ProxyJump of a jump host", "ProxyJump behind"),
    Case("ProxyJump with user and port", "ProxyJump {user}@jump:{jump_port}"),
    Case("ProxyJump that nothing listens on", "ProxyJump nowhere"),
    Case("ProxyJump none", "ProxyJump none"),
    Case("ProxyCommand", "ProxyCommand ssh -F {folder}/jumps -W %h:%p jump"),
    Case("ProxyCommand with a space in its path", 'ProxyCommand "{folder}/a folder/relay" %h %p %r'),
    Case("ProxyCommand that fails", "ProxyCommand sh -c 'echo no way through >&2; exit 1'"),
    # servers
    Case("a server with chacha20 alone", server="chacha"),
    Case("a post-quantum server", server="post-quantum"),
    Case("no common key exchange", "KexAlgorithms curve25519-sha256", server="other-kex"),
    Case("one session at a time", server="one-session"),
    Case("ten sessions", server="ten-sessions"),
    Case("a server without forwarding", server="no-forwarding"),
    Case("a banner", server="banner"),
    Case("a user who may not log in", server="denied"),
]
