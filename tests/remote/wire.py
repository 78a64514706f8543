"""A network between a person and a host: it counts the bytes, and may be slow."""

from __future__ import annotations

import asyncio
import threading
from contextlib import suppress


class Wire:
    """Passes connections on to a port of this machine, each byte `latency` seconds late."""

    def __init__(self, target: int, *, latency: float = 0.0) -> None:
        self.target, self.latency = target, latency
        self.bytes = 0
        self.port = 0
        self._writers: list[asyncio.StreamWriter] = []
        self._loop = asyncio.new_event_loop()
        self._listening = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)

    def _run(self) -> None:
        asyncio.set_event_loop(self._loop)
        server = self._loop.run_until_complete(asyncio.start_server(self._serve, "127.0.0.1", 0))
        self.port = server.sockets[0].getsockname()[1]
        self._listening.set()
        self._loop.run_forever()
        server.close()
        for writer in self._writers:
            writer.transport.abort()
        tasks = asyncio.all_tasks(self._loop)
        for task in tasks:
            task.cancel()
        self._loop.run_until_complete(asyncio.gather(*tasks, return_exceptions=True))
        self._loop.run_until_complete(server.wait_closed())
        self._loop.close()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._writers.append(writer)
        with suppress(OSError):
            far_reader, far_writer = await asyncio.open_connection("127.0.0.1", self.target)
            self._writers.append(far_writer)
            await asyncio.gather(self._pass(reader, far_writer), self._pass(far_reader, writer))

    async def _pass(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Late, but not slow: what comes meanwhile is on its way too."""
        with suppress(OSError, asyncio.CancelledError):
            while data := await reader.read(1 << 16):
                self.bytes += len(data)
                self._loop.call_later(self.latency, writer.write, data)
        self._loop.call_later(self.latency, writer.close)

    def __enter__(self) -> Wire:
        self._thread.start()
        self._listening.wait()
        return self

    def __exit__(self, *exc: object) -> None:
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
