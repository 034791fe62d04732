"""A load for measurements: many devices on one thread, with chunks made ahead, so that its own cost is small and known.

It speaks just enough MQTT 3.1.1 over a plain socket: a full client costs as much per message as what is to be
measured. Real devices use `ingest.Sender`. Run as `python -m sensors_sim.load CREDENTIALS ...`; the last line that
it prints is its report, as JSON.
"""

from __future__ import annotations

import argparse
import json
import selectors
import socket
import struct
import sys
import time
from collections import deque
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

import numpy as np

from ingest import Chunk, City, Credential, Fixes, encode, read_city, read_credential

CONTEXT_S = 1.5
RATE_HZ = 100.0
_READ_BYTES = 1 << 16


def chunk_of(city: City, run: int, device: int, seq: int, begin_s: float, owned_s: float) -> Chunk:
    """A chunk with six axes at 100 Hz and a fix a second on an even road; noise, not physics. Every device has a
    street of its own, 20 m from the next."""
    rng = np.random.default_rng([device, seq])
    start_s = begin_s + seq * owned_s
    n = int((owned_s + 2 * CONTEXT_S) * RATE_HZ)
    acc = rng.normal(0, 0.15, (n, 3)) + np.array([0, 0, 9.81])
    t = np.arange(np.floor(start_s - CONTEXT_S), np.ceil(start_s + owned_s + CONTEXT_S) + 0.5)
    lon, lat = city.centre_deg
    m = len(t)
    # Positions of a good receiver, 5 cm, so that they are looked at as those of a real box are.
    east_deg = (10.0 * (t - begin_s) + rng.normal(0, 0.05, m)) / (111_413.0 * np.cos(np.radians(lat)))
    north_deg = (device * 20 + rng.normal(0, 0.05, m)) / 111_320.0
    return Chunk(
        trip=f"{city.service_day(start_s):%Y%m%d}-{run:08x}{device:08x}", seq=seq, start_s=start_s,
        end_s=start_s + owned_s, t0_s=start_s - CONTEXT_S, rate_hz=RATE_HZ, carrier="bus", origin="simulated",
        datum="wgs84", acc_scale_mps2=1 / 512, acc_counts=np.rint(acc * 512).astype(np.int16),
        gyro_scale_radps=1 / 4096, gyro_counts=rng.integers(-200, 200, (n, 3)).astype(np.int16),
        fixes=Fixes(
            t, lat + north_deg, lon + east_deg, np.full(m, 0.075, np.float32),
            np.full(m, 10.0, np.float32), np.full(m, 90.0, np.float32),
        ),
    )  # fmt: skip


def _text(text: str) -> bytes:
    data = text.encode()
    return struct.pack(">H", len(data)) + data


def _packet(first: int, body: bytes) -> bytes:
    length, out = len(body), bytearray([first])
    while True:
        length, low = divmod(length, 128)
        out.append(low | (0x80 if length else 0))
        if not length:
            return bytes(out) + body


@dataclass
class Device:
    """One connection, its chunks, and when each was sent."""

    credential: Credential
    trip: str
    payloads: list[bytes]
    window: int
    until_verdict: bool
    sock: socket.socket = field(init=False)
    sent_s: deque[float] = field(default_factory=deque)
    latency_s: list[float] = field(default_factory=list)
    next: int = 0
    told: int = 0
    refused: int = 0
    buffer: bytearray = field(default_factory=bytearray)
    out: bytearray = field(default_factory=bytearray)

    def connect(self) -> None:
        """Connects, and subscribes to the verdicts."""
        c = self.credential
        self.sock = socket.create_connection((c.host, c.port), timeout=10)
        self.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        hello = _text("MQTT") + bytes([4, 0xC2]) + struct.pack(">H", 600)
        hello += _text(c.client_id) + _text(c.device) + _text(c.password)
        self.sock.sendall(_packet(0x10, hello))
        if self.sock.recv(4)[3:] != b"\0":
            raise SystemExit(f"the broker does not let {c.device} in")
        self.sock.sendall(_packet(0x82, b"\0\x01" + _text(f"rhc/v1/{c.device}/verdict") + b"\0"))
        self.sock.recv(5)
        self.sock.setblocking(False)

    @property
    def open(self) -> bool:
        """Whether one more may be sent."""
        return self.next < len(self.payloads) and self.next - self.told < self.window

    def publish(self, now_s: float) -> None:
        """Queues the next chunk."""
        topic = _text(f"rhc/v1/{self.credential.device}/chunk")
        number = struct.pack(">H", self.next % 65_535 + 1)
        self.out += _packet(0x32, topic + number + self.payloads[self.next])
        self.sent_s.append(now_s)
        self.next += 1

    def write(self) -> None:
        """Sends what the socket takes."""
        if self.out:
            try:
                del self.out[: self.sock.send(self.out)]
            except BlockingIOError:
                return

    def read(self, now_s: float) -> None:
        """Reads acknowledgements and verdicts."""
        data = self.sock.recv(_READ_BYTES)
        if not data:
            raise SystemExit(f"the broker ended the session of {self.credential.device}")
        self.buffer += data
        while True:
            length, shift, at = 0, 0, 1
            while at < len(self.buffer):
                byte = self.buffer[at]
                length |= (byte & 127) << shift
                at, shift = at + 1, shift + 7
                if byte < 128:
                    break
            else:
                return
            if len(self.buffer) < at + length:
                return
            if self.buffer[0] >> 4 == 4 and not self.until_verdict:
                self.told += 1
            elif self.buffer[0] >> 4 == 3:
                (topic,) = struct.unpack_from(">H", self.buffer, at)
                self._verdict(bytes(self.buffer[at + 2 + topic : at + length]), now_s)
            del self.buffer[: at + length]

    def _verdict(self, payload: bytes, now_s: float) -> None:
        verdict = json.loads(payload)
        if verdict["trip"] != self.trip:
            return  # of an earlier load
        self.refused = len(verdict["refused"])
        if self.refused:
            raise SystemExit(f"{self.credential.device} was refused: {verdict['refused'][0]}")
        for _, last in verdict["accepted"][:1]:
            for _ in range(self.told, last + 1):
                self.latency_s.append(now_s - self.sent_s.popleft())
            self.told = max(self.told, last + 1)


def run(devices: list[Device], per_s: float, timeout_s: float) -> float:
    """Sends everything, ``per_s`` chunks a second over all devices (0: as fast as windows allow); gives the seconds
    from the first publish to the last verdict."""
    watch = selectors.DefaultSelector()
    for device in devices:
        device.connect()
        watch.register(device.sock, selectors.EVENT_READ, device)
    begun_s = now_s = time.monotonic()
    sent = 0
    while any(d.told < len(d.payloads) for d in devices):
        now_s = time.monotonic()
        if now_s - begun_s > timeout_s:
            break
        # In turn, so that all devices are as far as one another: verdicts of a batch then belong to many trips.
        for device in sorted((d for d in devices if d.open), key=lambda d: d.next):
            if per_s and sent >= (now_s - begun_s) * per_s:
                break
            device.publish(now_s)
            sent += 1
        for device in devices:
            device.write()
        for key, _ in watch.select(0.002):
            key.data.read(time.monotonic())
    for device in devices:
        device.sock.close()
    return now_s - begun_s


def main() -> None:
    """The command."""
    parser = argparse.ArgumentParser(prog="python -m sensors_sim.load", description=__doc__)
    parser.add_argument("credentials", type=Path, help="folder of credential files, one a device")
    parser.add_argument("--city", type=Path, required=True, help="the city file")
    parser.add_argument("--owned-s", type=float, default=5.0, help="seconds that a chunk owns")
    parser.add_argument("--chunks", type=int, default=100, help="chunks of each device")
    parser.add_argument("--per-s", type=float, default=0.0, help="chunks a second over all devices; 0 is unpaced")
    parser.add_argument("--window", type=int, default=20, help="chunks of a device without a verdict at the most")
    parser.add_argument("--run", type=int, default=1, help="makes the trips of one run different from another's")
    parser.add_argument("--acknowledged", action="store_true", help="wait for the broker alone, not for verdicts")
    parser.add_argument("--begin-s", type=float, required=True, help="unix time at which the trips begin")
    parser.add_argument("--timeout-s", type=float, default=120.0)
    given = parser.parse_args()
    city = read_city(given.city.read_text())
    credentials = [read_credential(p) for p in sorted(given.credentials.glob("*.json"))]
    devices = []
    for i, credential in enumerate(credentials):
        made = [chunk_of(city, given.run, i, n, given.begin_s, given.owned_s) for n in range(given.chunks)]
        payloads = [encode(chunk) for chunk in made]
        devices.append(Device(credential, made[0].trip, payloads, given.window, not given.acknowledged))
    sys.stdout.write(f"ready {datetime.now(UTC):%H:%M:%S}\n")
    sys.stdout.flush()
    sys.stdin.readline()
    cpu_s = time.process_time()
    wall_s = run(devices, given.per_s, given.timeout_s)
    cpu_s = time.process_time() - cpu_s
    late = np.array([v for d in devices for v in d.latency_s] or [np.nan])
    report = {
        "sent": sum(d.next for d in devices), "told": sum(d.told for d in devices), "wall_s": wall_s, "cpu_s": cpu_s,
        "latency_p50_s": float(np.percentile(late, 50)), "latency_p95_s": float(np.percentile(late, 95)),
        "bytes": sum(len(p) for d in devices for p in d.payloads[: d.next]),
    }  # fmt: skip
    sys.stdout.write(json.dumps(report) + "\n")


if __name__ == "__main__":
    main()
