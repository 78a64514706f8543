"""Every error that a person can meet: what happened, what to do next, and the exit code.

TritonOpsError                      1  the operation failed, wholly or in part
├── PartialFailureError             1  some of several models or hosts failed; each is named
│   └── RolloutError                      a release does not serve on a cluster; each pod's reason is named
├── EmbeddedUnavailableError           this machine cannot run the embedded Triton
├── PackagesUnavailableError           packages of the distribution could not be fetched into the cache
├── PortTakenError                     something else listens where the embedded Triton should
├── ServerStartError                   the embedded Triton did not come up
├── RepositoryError                 1  the models on disk cannot be read or changed as asked
├── TritonError                     1  Triton refused or failed what it was asked to do
│   ├── TokenRefusedError              the server requires a token, or another one
│   ├── OpenControlError               the control API answers without the token
│   ├── DecoupledModelError            a model that answers over the stream alone
│   ├── NotServedError                 a model or a version that the server does not serve
│   ├── LoadError                      a model that Triton could not load, with its reason
│   ├── ServerDiedError                a server that a load took down
│   ├── NotAsOnDiskError               Triton says it is loaded, but serves something else than the disk has
│   └── TritonTimeoutError             it answers, but not with this within the deadline
├── SourceError                     1  a model's files could not be had from where models.toml says
│   ├── AccessDeniedError              the Hub, or another server, requires a token or refuses this one
│   ├── SourceMissingError             a file of this machine that models.toml names is not there
│   └── VerificationError              the bytes that came are not the bytes that were expected
├── StoreError                      1  the store, or the disk below it, could not do what was asked
├── LockingError                    1  a filesystem on which no lock can be taken
├── DockerError                        a docker command failed; its last lines are shown
│   ├── DockerMissingError             there is no docker command
│   ├── ComposeMissingError            docker has no Compose, or only the old docker-compose
│   ├── DockerTimeoutError             a docker command did not end in time
│   ├── ComposeTooOldError             a version of Compose before the oldest supported one
│   ├── ImagePullError                 an image is not here and cannot be fetched
│   ├── PublishedPortTakenError        something else listens on a port that a container should have
│   └── GpuMissingError                Docker cannot hand out a GPU here
├── ServiceError                       the Compose service did not come up, or not with every model
├── KubectlError                       a kubectl command failed; its own words are shown
│   ├── KubectlMissingError            there is no kubectl command
│   ├── KubectlTooOldError             a version of kubectl before the oldest supported one
│   ├── ClusterForbiddenError          the cluster does not allow it to this user
│   ├── LoginRefusedError              the cluster does not know this user
│   ├── QuotaError                     a quota of the namespace is used up
│   ├── PortForwardError               no port of a pod could be reached
│   └── ForeignObjectError             an object of that name belongs to somebody else
├── GraphError                      1  an ONNX file that is none
├── InputError                      2  the input is wrong: an option, a name, a file the person wrote
│   ├── UnreadableFileError            a file that is missing, no file at all, too large, or not UTF-8
│   ├── SettingsError                  an environment variable or a line of .env
│   │   └── EnvFileError               an env file that cannot be read, at a line
│   ├── CatalogError                   models.toml, at an entry and a line
│   ├── ConfigError                    a config.pbtxt, at a line and a column
│   ├── SourceChangedError             a file of this machine is not what models.lock says it was
│   ├── DependentError                 a change with which an ensemble could not be served any more
│   ├── UnknownModelError              a name that is not there, with the near misses
│   ├── UnknownReleaseError            a release that a host or a cluster does not have
│   ├── UnknownHostError               a host or group that hosts.toml does not have
│   ├── UnknownTargetError             a target that kubernetes.toml does not have
│   ├── UnknownContextError            a context that kubectl does not have
│   └── UnknownNamespaceError          a namespace that the cluster does not have
├── UnreachableError                3  the server, or every host, cannot be reached
│   ├── ServerDownError                no embedded Triton runs for this models directory
│   ├── ServerStartingError            it runs, and is still loading models
│   ├── ServerSilentError              it runs, and does not answer
│   ├── TritonUnreachableError         no Triton answers at this address
│   ├── ClusterUnreachableError        no cluster answers at a context of kubectl
│   ├── EngineUnreachableError         no Docker engine answers
│   │   └── EnginePermissionError      one does, but not to this user
│   └── HostUnreachableError           a host behind SSH: refused, no route, login refused
│       ├── UnknownHostNameError    2  its name cannot be resolved
│       ├── UnknownHostKeyError        known_hosts has no key for it
│       └── ChangedHostKeyError        it shows another key than the known one
├── ConnectionLostError             1  an SSH connection was lost
├── CommandError                    1  a command on a host failed; its last lines are shown
├── HostLockedError                 1  somebody else is at work on the host
├── UnprovenError                   1  a release is active, and was not seen to serve what was sent
├── ForwardingRefusedError          1  an SSH server lets nobody through to the ports of its host
├── DeployError                     1  a deploy or rollback failed
│   ├── SupersededError                   somebody else deployed another release to the cluster meanwhile
│   ├── RolledBackError                   it failed, and the release before is served again
│   └── NotRolledBackError                it failed, and the release before is not, or not wholly, served
├── ResultUnknownError              1  a deploy that the host began, and whose end could not be learned
└── DifferenceError                 4  nothing failed, but there is a difference
    └── StaleLockError                 models.lock does not agree with models.toml, or with the files that it names

Modules add their own cases as subclasses of these, here, so that this page lists them all.
"""

from __future__ import annotations

import shlex
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

from tritonops.display_text import clip_lines, printable
from tritonops.redaction import redact

MAX_NAMES = 10
"""Names listed by a hint where none is like the one that was given."""


class TritonOpsError(Exception):
    """An expected failure. `hint` says what to do next; it is shown on a line of its own."""

    exit_code = 1
    is_list = False
    """Whether each line of the message stands for one of many, so that none may be cut."""

    def __init__(self, message: str, *, hint: str | None = None) -> None:
        # The one place that every error passes: parts of it come from URLs, servers and files.
        safe = redact(printable(message))
        super().__init__(safe if self.is_list else clip_lines(safe))
        self.hint = hint and redact(printable(hint))

    @property
    def in_one_line(self) -> str:
        """The message, and behind it the hint: for a list of failures."""
        return f"{self}. {self.hint}" if self.hint else str(self)


class PartialFailureError(TritonOpsError):
    """Some of many failed; `failures` maps each one's name to the reason, and the rest was done."""

    is_list = True

    def __init__(
        self, what: str, failures: Mapping[str, str], *, hint: str | None = None, exit_code: int | None = None
    ) -> None:
        # Some reasons begin with the name, for where they stand alone.
        self.failures = {name: reason.removeprefix(f"{name}: ") for name, reason in failures.items()}
        self.exit_code = exit_code or type(self).exit_code
        lines = [f"  {name}: {reason}".replace("\n", "\n    ") for name, reason in self.failures.items()]
        super().__init__("\n".join([f"{what}:", *lines]), hint=hint)


class EmbeddedUnavailableError(TritonOpsError):
    """This machine cannot run the embedded Triton: the message says what is missing."""


class PackagesUnavailableError(TritonOpsError):
    """Packages of the distribution could not be fetched into the user's cache."""

    def __init__(self, packages: Iterable[str], reason: str) -> None:
        self.packages = list(packages)
        names = " ".join(self.packages)
        super().__init__(f"cannot fetch {names}: {reason}", hint=f"sudo apt install {names}")


class PortTakenError(TritonOpsError):
    """Something else listens on a port that the embedded Triton should have."""

    def __init__(self, protocol: str, port: int, *, process: str | None) -> None:
        self.protocol, self.port = protocol, port
        super().__init__(
            f"port {port} ({protocol}) is taken" + (f" by {process}" if process else ""),
            hint=f"Set TRITON_EXPOSE_{protocol.upper()} to another port, here or in .env; or end what listens there: "
            "inv server.down, or inv quickstart --stop.",
        )


class ServerStartError(TritonOpsError):
    """The embedded Triton did not come up; nothing of it was left running."""

    def __init__(self, problem: str, log: Path) -> None:
        self.log = log
        super().__init__(f"Triton did not start: {problem}", hint=f"Its log: {log}")


class RepositoryError(TritonOpsError):
    """The models on disk cannot be read, or not changed as asked; nothing was moved."""


class SourceError(TritonOpsError):
    """Files that could not be had: not there, not listed, not answered, not safe to write."""


class AccessDeniedError(SourceError):
    """401 or 403: the hint says which token is missing, or what to ask for."""


class VerificationError(SourceError):
    """Bytes with another hash or size than the one known for them; they were not installed."""


class SourceMissingError(SourceError):
    """A file or folder of this machine that models.toml names, and that is not there."""


class StoreError(TritonOpsError):
    """The store or the models directory: no space, no permission, another filesystem."""


class LockingError(TritonOpsError):
    """A filesystem that has neither file locks nor symbolic links."""

    def __init__(self, path: Path, reason: OSError, *, hint: str | None = None) -> None:
        other = "Its filesystem has no file locks. TRITON_MODELS_DIR and TRITON_STORE_DIR choose another one."
        super().__init__(f"cannot lock {path}: {reason.strerror}", hint=hint or other)


class DockerError(TritonOpsError):
    """A docker command failed; the message ends with its last output."""


class DockerTimeoutError(DockerError):
    """A docker command that did not end within its time, and was terminated."""


class DockerMissingError(DockerError):
    """There is no docker command on the PATH."""

    def __init__(self) -> None:
        super().__init__(
            "there is no docker command here",
            hint="Install Docker: https://docs.docker.com/engine/install/",
        )


class ComposeMissingError(DockerError):
    """The docker command knows no `docker compose`; `has_v1` says that the old docker-compose is there."""

    def __init__(self, *, has_v1: bool) -> None:
        old = "; docker-compose version 1 is here, but it is too old" if has_v1 else ""
        super().__init__(
            f"docker has no Compose plugin (`docker compose`){old}",
            hint="Install Compose 2: https://docs.docker.com/compose/install/linux/",
        )


class ComposeTooOldError(DockerError):
    """A version of Compose whose commands do something else than those of today."""

    def __init__(self, version: str, oldest: str) -> None:
        super().__init__(
            f"Compose {version} is too old: {oldest} is the oldest supported version",
            hint="Install a newer one: https://docs.docker.com/compose/install/linux/",
        )


class ImagePullError(DockerError):
    """An image is not on this machine, and could not be fetched."""

    def __init__(self, image: str, reason: str, *, hint: str) -> None:
        self.image = image
        super().__init__(f"the image {image} is not here and cannot be pulled: {reason}", hint=hint)


class PublishedPortTakenError(DockerError):
    """Something else listens on a port of this machine that a container should be published on."""

    def __init__(self, address: str) -> None:
        super().__init__(
            f"the container could not start: {address} of this machine is taken",
            hint="Is the embedded Triton up (`inv server.down`)? Otherwise choose another port with "
            "TRITON_EXPOSE_HTTP, TRITON_EXPOSE_GRPC or TRITON_EXPOSE_METRICS.",
        )


class GpuMissingError(DockerError):
    """Docker cannot hand a GPU to a container: no GPU, no driver, or no NVIDIA Container Toolkit."""

    def __init__(self, reason: str) -> None:
        super().__init__(
            f"Docker cannot give the container a GPU: {reason}",
            hint="Without a GPU: --cpu. With one, install the NVIDIA driver and the NVIDIA Container Toolkit: "
            "https://docs.nvidia.com/datacenter/cloud-native/container-toolkit/latest/install-guide.html",
        )


class ServiceError(TritonOpsError):
    """The Compose service did not come up, or came up without a model; the message ends with its log."""


class KubectlError(TritonOpsError):
    """A kubectl command failed; the message ends with its output."""


class KubectlMissingError(KubectlError):
    """There is no kubectl command on the PATH."""

    def __init__(self) -> None:
        super().__init__(
            "there is no kubectl command here", hint="Install kubectl: https://kubernetes.io/docs/tasks/tools/"
        )


class KubectlTooOldError(KubectlError):
    """A version of kubectl that compares or applies less than those of today."""

    def __init__(self, version: str, oldest: str) -> None:
        super().__init__(
            f"kubectl {version} is too old: {oldest} is the oldest supported version",
            hint="Install a newer one: https://kubernetes.io/docs/tasks/tools/",
        )


class ClusterForbiddenError(KubectlError):
    """The cluster knows this user, and does not allow what was asked."""

    def __init__(self, reason: str) -> None:
        super().__init__(
            f"the cluster does not allow it: {reason}", hint="docs/kubernetes.md lists the rights that a deploy needs."
        )


class LoginRefusedError(KubectlError):
    """The cluster does not accept the credentials of a context, or there are none."""

    def __init__(self, context: str, reason: str) -> None:
        super().__init__(
            f"the cluster of the context {context} refuses the login: {reason}",
            hint=f"Log in as your cluster asks, and try: kubectl --context {shlex.quote(context)} auth whoami",
        )


class QuotaError(KubectlError):
    """A quota of a namespace is used up."""

    def __init__(self, namespace: str, reason: str) -> None:
        super().__init__(reason, hint=f"kubectl -n {namespace} describe resourcequota shows what uses it.")


class PortForwardError(KubectlError):
    """No port of a pod could be reached through the cluster."""

    def __init__(self, pod: str, reason: str) -> None:
        super().__init__(f"cannot reach the pod {pod}: {reason}", hint="inv kubernetes.status shows how the pods are.")


class ForeignObjectError(KubectlError):
    """An object that has the name of one of ours, and that was not made by tritonops."""

    def __init__(self, names: Sequence[str], namespace: str) -> None:
        super().__init__(
            f"{', '.join(names)} in {namespace}: not made by tritonops, and a deploy would replace it",
            hint="Rename the target, which names its objects; or delete these, if nobody needs them.",
        )


class GraphError(TritonOpsError):
    """A file that should be an ONNX graph and is none, or is cut short."""


class InputError(TritonOpsError):
    """What the person asked for is wrong; nothing was done."""

    exit_code = 2


class UnreadableFileError(InputError):
    """A file that cannot be read as text; `line` is counted from 1, `missing` says that nothing is there."""

    def __init__(self, path: Path, problem: str, *, line: int | None = None, missing: bool = False) -> None:
        self.path, self.problem, self.line, self.missing = path, problem, line, missing
        super().__init__(f"{path}, line {line}: {problem}" if line else f"{path}: {problem}")


class SettingsError(InputError):
    """An environment variable, or a line of .env, that has no valid value."""


class EnvFileError(SettingsError):
    """An env file that cannot be read, or that Compose would refuse: file, line and name, never a value."""


class CatalogError(InputError):
    """models.toml is wrong: the message names the entry, its key and the line where the entry begins."""


class ConfigError(InputError):
    """A config.pbtxt that cannot be read, or that Triton's schema does not know; counted from 1."""

    def __init__(self, where: str, line: int | None, column: int | None, problem: str) -> None:
        self.where, self.line, self.column, self.problem = where, line, column, problem
        place = ":".join(str(part) for part in (where, line, column) if part is not None)
        super().__init__(f"{place}: {problem}")


class SourceChangedError(InputError):
    """A file or folder of this machine that changed since it was locked; the hint has the commands that resolve it."""


class DependentError(InputError):
    """A change of a model with which an ensemble could not be served any more; nothing was sent."""

    def __init__(self, model: str, reasons: Iterable[str], ensembles: Iterable[str]) -> None:
        names = list(ensembles)
        super().__init__(
            f"{model}: left as it is served, since {'; '.join(reasons)}",
            hint=f"Change {', '.join(names)} too, or take it away first: inv triton.unload {names[0]}, "
            f"inv models.disable {names[0]}",
        )


class UnknownModelError(InputError):
    """A model name that is not in `known`; the hint names what is near it, or all there is."""

    def __init__(self, name: str, known: Iterable[str], *, where: str) -> None:
        self.name, self.known = name, sorted(set(known))
        super().__init__(
            f"{where} has no model {name!r}", hint=near_misses(name, self.known, "models") or "There are none."
        )


class UnknownReleaseError(InputError):
    """A release that is not, or no longer, on a host or a cluster."""

    def __init__(self, name: str, known: Iterable[str], *, where: str = "the host", deploy: str = "remote") -> None:
        releases = sorted(known)
        hint = near_misses(name, releases, "releases") or f"It has none yet: inv {deploy}.deploy"
        super().__init__(f"{where} has no release {name!r} that served", hint=hint)


class UnknownHostError(InputError):
    """A host or a group that hosts.toml does not have."""


class UnknownTargetError(InputError):
    """A target that kubernetes.toml does not have."""


class UnknownContextError(InputError):
    """A context that kubectl's configuration does not have."""

    def __init__(self, context: str) -> None:
        super().__init__(
            f"kubectl has no context {context!r}",
            hint="kubectl config get-contexts lists them; KUBECONFIG names other files than ~/.kube/config.",
        )


class UnknownNamespaceError(InputError):
    """A namespace that the cluster does not have."""

    def __init__(self, namespace: str, context: str) -> None:
        super().__init__(
            f"the cluster of the context {context} has no namespace {namespace!r}",
            hint=f"kubectl --context {shlex.quote(context)} create namespace {namespace}",
        )


class UnreachableError(TritonOpsError):
    """A server that did not answer."""

    exit_code = 3


class ClusterUnreachableError(UnreachableError):
    """No cluster answers at a context of kubectl."""


class ServerDownError(UnreachableError):
    """No embedded Triton runs for this models directory; `log` is there when one did."""

    def __init__(self, log: Path) -> None:
        super().__init__(
            "the embedded Triton is not running",
            hint="Start it with `inv server.up`." + (f" The last one's log: {log}" if log.exists() else ""),
        )


class ServerStartingError(UnreachableError):
    """The embedded Triton is still loading models."""

    def __init__(self, pid: int, log: Path) -> None:
        super().__init__(f"the embedded Triton (pid {pid}) is still starting", hint=f"Its log: {log}")


class ServerSilentError(UnreachableError):
    """The process of the embedded Triton exists and does not answer: it hangs, is stopped, or about to end."""

    def __init__(self, pid: int, log: Path) -> None:
        super().__init__(
            f"the embedded Triton (pid {pid}) does not answer",
            hint=f"Its log: {log}. To start it again: inv server.restart",
        )


class HostUnreachableError(UnreachableError):
    """A host that could not be logged in to."""


class UnknownHostNameError(HostUnreachableError):
    """A host whose name no resolver knows, which is a wrong name rather than a host that is down."""

    exit_code = 2


class UnknownHostKeyError(HostUnreachableError):
    """A host whose key known_hosts does not have; the message has the fingerprint."""


class ChangedHostKeyError(HostUnreachableError):
    """A host that shows another key than the one known_hosts has."""


class ConnectionLostError(TritonOpsError):
    """An SSH connection that ended before the command did; what the command was doing may go on."""


class LoginShellError(TritonOpsError):
    """A host whose login shell does not run our commands as they are."""


class ForwardingRefusedError(TritonOpsError):
    """A host whose SSH server lets nobody through to its ports."""


class CommandError(TritonOpsError):
    """A command that ran on a host and failed."""

    def __init__(self, host: str, code: int, output: str, *, hint: str | None = None) -> None:
        self.host, self.code, self.output = host, code, output
        last = "\n".join(f"  {line}" for line in output.strip().splitlines()[-15:])
        super().__init__(f"{host}: exit {code}" + (f"\n{last}" if last else ""), hint=hint)


class HostLockedError(TritonOpsError):
    """The lock of a host is locked by somebody else; the message says by whom and since when."""


class DeployError(TritonOpsError):
    """A deploy or a rollback that failed; nothing that serves was changed unless the message says so."""


class RolloutError(PartialFailureError):
    """A release that does not serve on a cluster: each pod's reason, or the Deployment's."""


class SupersededError(DeployError):
    """Somebody else deployed another release to the cluster meanwhile."""


class RolledBackError(DeployError):
    """A deploy or a rollback that failed while switching; what was served before is served again."""


class UnprovenError(TritonOpsError):
    """A release that is active, and that was not seen to serve what was sent; the message names the difference."""


class NotRolledBackError(DeployError):
    """A deploy or a rollback that failed while switching; what was served before is not all served again."""


class ResultUnknownError(TritonOpsError):
    """A deploy or a rollback that the host began, and whose end could not be learned."""


class TritonError(TritonOpsError):
    """Triton refused or failed what it was asked to do; the message has its reason, `answer` the whole of it."""

    def __init__(self, message: str, *, hint: str | None = None, answer: str | None = None) -> None:
        self.answer = message if answer is None else answer
        super().__init__(message, hint=hint)


class TokenRefusedError(TritonError):
    """A call to a protocol that the server has restricted, without its token or with another one."""

    def __init__(self, url: str, *, token_sent: bool) -> None:
        what = "requires another token than TRITON_TOKEN" if token_sent else "requires a token for this"
        super().__init__(
            f"Triton at {url} {what}",
            hint="Set TRITON_TOKEN, in .env or the environment, to the token that the server was started with.",
        )


class OpenControlError(TritonError):
    """A control API that a token should close, and that answers without it."""

    def __init__(self, where: str, protocol: str) -> None:
        super().__init__(
            f"{where}: the control API answers over {protocol} without TRITON_TOKEN, so everybody who reaches it may "
            "load and unload models",
            hint="Restart it: inv remote.restart for a host. Images older than 26.03 let callers past a token.",
        )


class NotServedError(TritonError):
    """A question to a model, or to a version of it, that the server does not serve."""


class DecoupledModelError(TritonError):
    """A model that sends as many responses as it likes, and was asked for one."""


class LoadError(TritonError):
    """A model that Triton could not load; what it served of it before goes on being served."""


class ServerDiedError(TritonError):
    """A server that answered before a load, and answers no more since; the message has its last lines."""


class NotAsOnDiskError(TritonError):
    """A load that Triton calls done, after which it serves something else than is on disk."""


class TritonTimeoutError(TritonError):
    """A server that answers, but did not do this within its deadline; it may still be at it."""


class TritonUnreachableError(UnreachableError):
    """No Triton answers at `url`."""

    def __init__(self, url: str, reason: str, *, speaks_http: bool = False) -> None:
        up = "Is it up? Try `inv server.status` or `inv compose.ps`. TRITON_URL or --url sets the address."
        grpc = "TRITON_URL or --url: give the port of its gRPC API, 8001 unless TRITON_EXPOSE_GRPC is set."
        super().__init__(
            f"no Triton answers at {url}: {'it speaks HTTP, and this needs gRPC' if speaks_http else reason}",
            hint=grpc if speaks_http else up,
        )


class EngineUnreachableError(UnreachableError):
    """No Docker engine answers at the address that the docker command uses."""

    def __init__(self, reason: str) -> None:
        super().__init__(
            f"no Docker engine answers: {reason}",
            hint="Start it: `sudo systemctl start docker`, or Docker Desktop",
        )


class EnginePermissionError(EngineUnreachableError):
    """A Docker engine is there, but this user may not use its socket."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.hint = "Join the group docker (`sudo usermod -aG docker $USER`) and log in again, or use sudo."


class DifferenceError(TritonOpsError):
    """A comparison that found something: not a failure, but scripts want to know."""

    exit_code = 4


class StaleLockError(DifferenceError):
    """models.lock has no pin, or was made for another models.toml or for other files of this machine."""

    is_list = True


def near_misses(name: str, known: Iterable[str], kind: str) -> str:
    """Suggest what was meant by `name`: the nearest of `known`, or else the first ten; nothing for none.

    `kind` says what they are, in the plural: "models".
    """
    names = sorted(set(known))
    if not names:
        return ""
    from difflib import get_close_matches

    if near := get_close_matches(name, names, n=3, cutoff=0.6):
        return f"Did you mean {' or '.join(repr(match) for match in near)}?"
    return f"Known {kind}: {listed(names)}"


def listed(names: Sequence[str]) -> str:
    """Write the first ten names, and how many more there are."""
    more = f" … and {len(names) - MAX_NAMES:,} more" if len(names) > MAX_NAMES else ""
    return f"{', '.join(names[:MAX_NAMES])}{more}"
