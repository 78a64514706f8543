"""Ask a URL for the size of its one file."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tritonops.errors import SourceError
from tritonops.models.catalog.catalog import ModelVersion, UrlSource
from tritonops.models.http.address_with_token import Address
from tritonops.models.sources.listing import Listing
from tritonops.models.transfer.remote_file import RemoteFile
from tritonops.redaction import redact

if TYPE_CHECKING:
    from tritonops.models.http.retries import Retries
    from tritonops.models.http.transport import Transport


def list_url(version: ModelVersion, source: UrlSource, transport: Transport) -> Listing:
    """List the file with one request. Raises SourceError."""
    from tritonops.models.http.response_headers import content_length, content_range

    # A GET of one byte and not a HEAD, which a URL that is signed for GET would refuse.
    address = Address(source.url)

    def ask(retries: Retries) -> int | None:
        with transport.open(address, retries, {"Range": "bytes=0-0"}) as response:
            if response.status == 206:
                return content_range(response.headers).total
            return content_length(response.headers)

    size = transport.patiently(ask, source.url)
    if size is None:
        raise SourceError(f"{version.label}: {redact(source.url)} does not say how long it is")
    return Listing(version, None, (RemoteFile(version.label, version.local_name, size, address, source.sha256),))
