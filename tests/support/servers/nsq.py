"""A small broker that speaks NSQ's protocol, for tests where there is no nsqd.

    python -m tests.support.servers.nsq PORT [--double SHARE] [--shuffle COUNT] [--drop SHARE]
                                             [--delay SECONDS] [--tls CERT KEY] [--secret SECRET]

It has what the bridge uses: IDENTIFY, AUTH, SUB, RDY, FIN, REQ, NOP, PUB; all topics are ephemeral.
TOPICS, which nsqd has not, is answered with their names. It keeps all in memory,
requeues what a lost connection had, and can double messages, lose some, keep each for a time of up
to so many seconds, and hand them out in another order.
"""

from __future__ import annotations

import argparse
import asyncio
import itertools
import json
import random
import ssl
import struct
import time
from collections import deque
from typing import Any

MAX_MESSAGE_BYTES = 1 << 20
RESPONSE, ERROR, MESSAGE = range(3)


class Topic:
    """The messages of a topic, for its one channel."""

    def __init__(self, name: str, options: argparse.Namespace, rng: random.Random) -> None:
        self.name = name
        self.clients: list[Client] = []
        self._waiting: deque[bytes] = deque()
        self._options = options
        self._rng = rng

    def add(self, body: bytes) -> None:
        if self._rng.random() < self._options.drop:
            return
        self._arrive(body)
        while self._rng.random() < self._options.double:
            self._arrive(body)

    def _arrive(self, body: bytes) -> None:
        if self._options.delay:
            delay_s = self._rng.random() * self._options.delay
            asyncio.get_running_loop().call_later(delay_s, self._wait, body)
        else:
            self._wait(body)

    def _wait(self, body: bytes) -> None:
        self._waiting.append(body)
        self.hand_out()

    def hand_out(self) -> None:
        """Send what waits to clients that have room."""
        for client in self.clients:
            while self._waiting and len(client.in_flight) < client.ready:
                self._mix()
                client.give(self._waiting.popleft())

    def give_back(self, bodies: list[bytes]) -> None:
        self._waiting.extend(bodies)
        self.hand_out()

    def _mix(self) -> None:
        if self._options.shuffle and len(self._waiting) > 1:
            most = min(len(self._waiting), self._options.shuffle)
            place = self._rng.randrange(most)
            self._waiting[0], self._waiting[place] = self._waiting[place], self._waiting[0]


class Client:
    """One connection."""

    def __init__(
        self, broker: Broker, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        self.in_flight: dict[bytes, bytes] = {}
        self.ready = 0
        self._broker = broker
        self._reader = reader
        self._writer = writer
        self._topic: Topic | None = None
        self._is_known = not broker.options.secret
        self._heart: asyncio.Task[None] | None = None

    async def serve(self) -> None:
        """Answer commands until the connection ends."""
        try:
            if await self._reader.readexactly(4) != b"  V2":
                return
            while line := await self._reader.readline():
                command, *parameters = line.rstrip(b"\n").decode().split(" ")
                await getattr(self, f"_{command.lower()}")(*parameters)
        except (OSError, asyncio.IncompleteReadError):
            pass
        finally:
            self._leave()

    def give(self, body: bytes) -> None:
        """Send a message."""
        number = next(self._broker.numbers)
        name = f"{number:016x}".encode()
        self.in_flight[name] = body
        self._frame(MESSAGE, struct.pack(">qH", time.time_ns(), 1) + name + body)

    def _leave(self) -> None:
        if self._heart is not None:
            self._heart.cancel()
        if self._topic is not None:
            self._topic.clients.remove(self)
            self._topic.give_back(list(self.in_flight.values()))
            if not self._topic.clients:
                self._broker.topics.pop(self._topic.name, None)
        self._writer.close()

    def _frame(self, kind: int, body: bytes) -> None:
        self._writer.write(struct.pack(">ll", len(body) + 4, kind) + body)

    async def _body(self) -> bytes:
        (size,) = struct.unpack(">l", await self._reader.readexactly(4))
        if not 0 < size <= MAX_MESSAGE_BYTES:
            self._frame(ERROR, b"E_BAD_MESSAGE")
            raise ConnectionError("a message of a wrong size")
        return await self._reader.readexactly(size)

    async def _identify(self) -> None:
        asked: dict[str, Any] = json.loads(await self._body())
        tls = self._broker.tls if asked.get("tls_v1") else None
        answer = {
            "max_rdy_count": 2500,
            "tls_v1": tls is not None,
            "auth_required": bool(self._broker.options.secret),
        }
        self._frame(RESPONSE, json.dumps(answer).encode())
        if tls is not None:
            await self._writer.start_tls(tls)
            self._frame(RESPONSE, b"OK")
        self._heart = asyncio.create_task(self._beat(asked["heartbeat_interval"] / 1000))

    async def _beat(self, interval_s: float) -> None:
        while True:
            await asyncio.sleep(interval_s)
            self._frame(RESPONSE, b"_heartbeat_")

    async def _auth(self) -> None:
        self._is_known = (await self._body()).decode() == self._broker.options.secret
        if not self._is_known:
            self._frame(ERROR, b"E_UNAUTHORIZED")
            raise ConnectionError("a wrong secret")
        self._frame(RESPONSE, b'{"identity": "", "permission_count": 1}')

    async def _sub(self, topic: str, _channel: str) -> None:
        self._check()
        self._topic = self._broker.topic(topic)
        self._topic.clients.append(self)
        self._frame(RESPONSE, b"OK")

    async def _rdy(self, count: str) -> None:
        self.ready = int(count)
        self._hand_out()

    async def _fin(self, name: str) -> None:
        self.in_flight.pop(name.encode(), None)
        self._hand_out()

    async def _req(self, name: str, _delay: str) -> None:
        body = self.in_flight.pop(name.encode(), None)
        if self._topic is not None and body is not None:
            self._topic.give_back([body])

    async def _nop(self) -> None:
        pass

    async def _pub(self, topic: str) -> None:
        self._check()
        self._broker.topic(topic).add(await self._body())
        self._frame(RESPONSE, b"OK")

    async def _topics(self) -> None:
        self._frame(RESPONSE, json.dumps(sorted(self._broker.topics)).encode())

    def _check(self) -> None:
        if not self._is_known:
            self._frame(ERROR, b"E_AUTH_FIRST")
            raise ConnectionError("it did not say who it is")

    def _hand_out(self) -> None:
        if self._topic is not None:
            self._topic.hand_out()


class Broker:
    """All topics and clients."""

    def __init__(self, options: argparse.Namespace) -> None:
        self.options = options
        self.numbers = itertools.count()
        self.tls: ssl.SSLContext | None = None
        if options.tls:
            self.tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            self.tls.load_cert_chain(*options.tls)
        self.topics: dict[str, Topic] = {}
        self._rng = random.Random(0)

    def topic(self, name: str) -> Topic:
        if name not in self.topics:
            self.topics[name] = Topic(name, self.options, self._rng)
        return self.topics[name]

    async def serve(self) -> None:
        async def meet(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            await Client(self, reader, writer).serve()

        server = await asyncio.start_server(meet, "127.0.0.1", self.options.port, limit=1 << 21)
        await server.serve_forever()


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("port", type=int)
    parser.add_argument("--double", type=float, default=0.0)
    parser.add_argument("--shuffle", type=int, default=0)
    parser.add_argument("--drop", type=float, default=0.0)
    parser.add_argument("--delay", type=float, default=0.0)
    parser.add_argument("--tls", nargs=2)
    parser.add_argument("--secret", default="")
    asyncio.run(Broker(parser.parse_args()).serve())


if __name__ == "__main__":
    main()
