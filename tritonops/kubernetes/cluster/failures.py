"""What kubectl's words mean: the cluster's own reason, and what to do about it."""

from __future__ import annotations

import re
import shlex

from tritonops.errors import (
    ClusterForbiddenError,
    ClusterUnreachableError,
    InputError,
    LoginRefusedError,
    QuotaError,
    TritonOpsError,
    UnknownContextError,
    UnknownNamespaceError,
)

_LOG = re.compile(r"^[EWIF]\d{4} [\d:.]+ .*\n?(?:(?:\t| >).*\n?)*", re.MULTILINE)
"""Lines that kubectl logs about its retries; a text of several lines is indented, and ends in " >"."""
_CONTEXT = re.compile(r'context ".*" does not exist|context was not found for specified context')
_NAMESPACE = re.compile(r'namespaces "[^"]*" not found')
_QUOTA = re.compile(r"exceeded quota: .*")
_FORBIDDEN = (
    re.compile(r"^(?:.*\(Forbidden\): )?(.* is forbidden: .*)", re.MULTILINE),
    re.compile(r"\(Forbidden\): (.*)"),
)
_LOGIN = re.compile(
    r"must be logged in to the server|\(Unauthorized\)|asked for the client to provide credentials"
    r"|getting credentials: |exec plugin: "
)
_ASKS = re.compile(r"^(?:Please enter \w+: )?error: EOF$", re.MULTILINE)
"""kubectl asks for the name and password of a user that has no credentials."""
_ANSWERED = re.compile(r"^Error from server(?! \((?:ServiceUnavailable|Timeout)\))|error dialing backend", re.MULTILINE)
"""The API server answered; what it could not reach is a webhook, or the node of a pod."""
_UNREACHABLE = re.compile(
    r"The connection to the server \S+ was refused|Unable to connect to the server: .*|dial tcp .*|i/o timeout"
    r"|no such host|TLS handshake timeout|context deadline exceeded|connection reset by peer|http2: .*"
    r"|couldn't get current server API group list: .*|\((?:ServiceUnavailable|Timeout)\): .*"
)


_PATCH = re.compile(r"no matches for Id |unable to parse SM or JSON patch|failed to find unique target for patch")
"""kustomize, which kubectl runs, cannot apply the patch of a target."""


def without_logs(text: str) -> str:
    """Drop the lines in which kubectl logs its retries."""
    return _LOG.sub("", text).strip()


def known_failure(text: str, *, context: str, namespace: str) -> TritonOpsError | None:
    """Recognize a failure by kubectl's output; None for any other."""
    words = without_logs(text) or text.strip()
    if _CONTEXT.search(words):
        return UnknownContextError(context)
    if _PATCH.search(words):
        return InputError(
            f"the patch of the target does not fit: {words.removeprefix('error: ')}",
            hint="docs/kubernetes.md, Patches. A patch names an object that is rendered, with its namespace.",
        )
    if _NAMESPACE.search(words):
        return UnknownNamespaceError(namespace, context)
    if found := _QUOTA.search(words):
        return QuotaError(namespace, found[0])
    if found := _FORBIDDEN[0].search(words) or _FORBIDDEN[1].search(words):
        return ClusterForbiddenError(found[1])
    if found := _LOGIN.search(words):
        return LoginRefusedError(context, _line(words, found.start()))
    if _ASKS.search(words):
        return LoginRefusedError(context, "its user has no credentials, and kubectl asks for a name")
    if not _ANSWERED.search(words) and (found := _UNREACHABLE.search(words)):
        return ClusterUnreachableError(
            f"no cluster answers at the context {context}: {found[0]}",
            hint=f"kubectl --context {shlex.quote(context)} get --raw /readyz",
        )
    return None


def _line(text: str, position: int) -> str:
    """Give the line that has a position."""
    return text[text.rfind("\n", 0, position) + 1 :].partition("\n")[0].removeprefix("error: ")
