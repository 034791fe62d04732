"""`python -m sensors_sim`: a simulated fleet that publishes over MQTT, or writes its chunks as files."""

from __future__ import annotations

import argparse
import importlib
import json
import signal
import sys
import threading
import time
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path

from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn

from ingest import City, CityFileError, Credential, OutboxError, SenderError, encode, read_city, read_credential

from .faults import Faults
from .fleet import BOX, LEGS, PHONE, live, trips
from .publish import Fleet, Totals, paced
from .truth import crossing, write_roads, write_truth

_CHUNKS_A_RUN = 8.5  # of 400 m at the mean speed; only the progress bar's length hangs on it
_TELL_S = 3.0
_LAST_WAIT_S = 60.0
_STOP_WAIT_S = 10.0
"""For verdicts after SIGTERM: whoever stops us waits, and a chunk without a verdict is known to be without one."""

_COMMANDS = {"clips": "clips", "ground": "ground_command", "iri": "iri_command", "signatures": "signatures", "simulate": "simulate"}
"""Sub-commands and the module whose `main` takes the rest of the command line."""

_EPILOG = """\
Simulated boxes and phones drive two crossing streets near the city's centre. What is wrong with the streets is written
as truth (--truth), so that the platform's codes can be held against it. First a history is published: --passes runs of
every device through every lane, ending now. With --forever the fleet then drives on from there in real time until
SIGTERM; what fell due while the history was published is sent at once.
At the end one line of JSON on standard output says what was sent and what came back.

  python -m sensors_sim --city city.toml --credentials var/devices --truth var/truth.json
  python -m sensors_sim --city city.toml --files chunks --boxes 1 --phones 0 --passes 1

`python -m sensors_sim ground --help` tells of the proving ground, which writes data folders for training,
`python -m sensors_sim simulate --help` of a whole city and its fleets.
"""


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m sensors_sim",
        description="What would a road send? A simulated fleet, everything it sends marked as simulated.",
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--city", type=Path, default=Path("city.toml"), help="the city file (default: %(default)s)")
    where = parser.add_mutually_exclusive_group(required=True)
    where.add_argument(
        "--credentials",
        type=Path,
        metavar="DIR",
        help="publish over MQTT as the devices whose credentials (*.json) lie here, by name",
    )
    where.add_argument("--roads", type=Path, metavar="FILE", help="write the streets as GeoJSON, drive nothing")
    where.add_argument("--files", type=Path, metavar="DIR", help="write each chunk as a .cbor file instead")
    parser.add_argument("--truth", type=Path, metavar="FILE", help="write what is really on the streets, as JSON")
    parser.add_argument("--boxes", type=int, default=4, help="boxes on buses (default: %(default)s)")
    parser.add_argument("--phones", type=int, default=3, help="phones in cars (default: %(default)s)")
    parser.add_argument(
        "--passes",
        type=int,
        default=6,
        help="history: runs of each device through each lane; 0 for none (default: %(default)s)",
    )
    parser.add_argument(
        "--seed",
        type=int,
        default=1,
        help="the same seed gives the same road, drives and errors (default: %(default)s)",
    )
    parser.add_argument(
        "--until",
        type=float,
        metavar="UNIX_S",
        help="when the history ends, unix seconds (default: now); give it for the same bytes again",
    )
    parser.add_argument(
        "--speed",
        type=float,
        default=0.0,
        metavar="X",
        help="publish the history at X times its own pace (default: as fast as verdicts come)",
    )
    parser.add_argument(
        "--summaries",
        action="store_true",
        help="boxes send rows of figures in the place of samples where the road is quiet, as over a SIM card",
    )
    parser.add_argument(
        "--whole",
        action="store_true",
        help="with --files: also the ends of trips that a phone keeps to itself, for a client that trims them",
    )
    parser.add_argument(
        "--outbox",
        type=Path,
        metavar="DIR",
        help="keep what has no verdict yet on disk, a folder a device; what is there from before is sent first",
    )
    parser.add_argument("--forever", action="store_true", help="then drive on in real time until SIGTERM")
    parser.add_argument(
        "--faults",
        action="store_true",
        help="send 5 %% of the chunks twice, out of order, and --bad broken ones besides them",
    )
    parser.add_argument(
        "--bad",
        type=int,
        default=14,
        metavar="N",
        help="how many broken chunks --faults sends, of seven kinds in turn (default: %(default)s)",
    )
    return parser


def _credentials(folder: Path, boxes: int, phones: int) -> list[Credential]:
    known = [read_credential(path) for path in sorted(folder.glob("*.json"))]
    chosen: list[Credential] = []
    for kind, wanted in ((BOX, boxes), (PHONE, phones)):
        of_kind = [c for c in known if c.kind == kind][:wanted]
        if len(of_kind) < wanted:
            raise SenderError(
                f"{folder} holds {len(of_kind)} credentials of kind {kind}, {wanted} are asked for: enrol more devices"
            )
        chosen += of_kind
    return chosen


def _write_files(options: argparse.Namespace, city: City, until_s: float) -> dict[str, int]:
    written = 0
    history = trips(
        city, options.seed, options.boxes, options.phones, options.passes, until_s, options.summaries,
        options.whole,
    )
    for device, kind, chunk in history:
        folder = options.files / f"{device:02d}-{kind}"
        folder.mkdir(parents=True, exist_ok=True)
        (folder / f"{chunk.trip}-{chunk.seq:06d}.cbor").write_bytes(encode(chunk))
        written += 1
    return {"written": written}


class _Teller:
    """Says on standard error how far it has come: a bar on a terminal, else a plain line every few seconds."""

    def __init__(self, stack: ExitStack, expected: int) -> None:
        console = Console(stderr=True)
        self._bar: Progress | None = None
        self._told_s = time.monotonic()
        if console.is_terminal:
            columns = (TextColumn("fleet"), BarColumn(), TextColumn("{task.description}"), TimeElapsedColumn())
            self._bar = stack.enter_context(Progress(*columns, console=console))
            self._task = self._bar.add_task("", total=expected)

    def tell(self, totals: Callable[[], Totals]) -> None:
        """Called after every chunk; asks for the totals only when it will say something."""
        now_s = time.monotonic()
        if now_s - self._told_s < (0.2 if self._bar else _TELL_S):
            return
        self._told_s = now_s
        t = totals()
        line = f"{t.sent} sent, {t.accepted} accepted, {sum(t.refused.values())} refused, {t.waiting} waiting"
        if self._bar:
            self._bar.update(self._task, completed=t.unique, description=line)
        else:
            sys.stderr.write(f"simulated fleet: {line}\n")
            sys.stderr.flush()


def _publish(options: argparse.Namespace, city: City, until_s: float, stop: threading.Event) -> Totals:
    faults = Faults(0.05, 8, options.bad) if options.faults else Faults()
    seed, boxes, phones, passes = options.seed, options.boxes, options.phones, options.passes
    with ExitStack() as stack:
        credentials = _credentials(options.credentials, boxes, phones)
        fleet = stack.enter_context(Fleet(credentials, seed, faults, options.outbox))
        teller = _Teller(stack, round((boxes + phones) * passes * len(LEGS) * _CHUNKS_A_RUN))
        if passes:
            history = trips(city, seed, boxes, phones, passes, until_s, options.summaries)
            for device, _, chunk in paced(history, options.speed, stop):
                fleet.put(device, chunk, stop)
                teller.tell(fleet.totals)
        if options.forever and not stop.is_set():
            for ready_s, device, _, chunk in live(city, seed, boxes, phones, passes, until_s, options.summaries):
                while not stop.is_set() and (wait_s := ready_s - time.time()) > 0:
                    stop.wait(min(wait_s, 1.0))
                    teller.tell(fleet.totals)
                if not fleet.put(device, chunk, stop):
                    break
        return fleet.finish(_STOP_WAIT_S if stop.is_set() else _LAST_WAIT_S)


def main(arguments: list[str] | None = None) -> int:
    """Runs the command line; returns the exit code: 0, or 1 where a chunk is left without a verdict."""
    arguments = sys.argv[1:] if arguments is None else arguments
    if arguments and arguments[0] in _COMMANDS:
        # Loaded only now: a fleet need not wait for kernels that it never runs.
        command = importlib.import_module(f".{_COMMANDS[arguments[0]]}", __package__)
        return int(command.main(arguments[1:]))
    parser = _parser()
    options = parser.parse_args(arguments)
    if min(options.boxes, options.phones, options.passes, options.bad, options.seed) < 0:
        parser.error("--boxes, --phones, --passes, --bad and --seed are 0 or more")
    if options.boxes + options.phones == 0:
        parser.error("a fleet has at least one box or phone")
    if options.files and (options.faults or options.forever or not options.passes):
        parser.error("--files writes a history of whole chunks: it needs --passes, and takes no --faults or --forever")
    if options.whole and not options.files:
        parser.error("--whole is for --files: no phone sends the ends of its trips")
    try:
        city = read_city(options.city.read_text(encoding="utf-8"))
    except (OSError, CityFileError) as error:
        parser.error(f"--city {options.city}: {error}")
    if "simulated" not in city.origins:
        parser.error(
            f"{options.city} takes only origins {', '.join(city.origins)}: it must not mix with simulated data"
        )
    until_s = time.time() if options.until is None else options.until
    if options.truth:
        write_truth(options.truth, crossing(city.centre_deg))
    if options.roads:
        write_roads(options.roads, crossing(city.centre_deg))
        return 0
    if options.files:
        sys.stdout.write(json.dumps(_write_files(options, city, until_s)) + "\n")
        return 0
    stop = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stop.set())
    try:
        totals = _publish(options, city, until_s, stop)
    except (SenderError, OutboxError) as error:
        sys.stderr.write(f"simulated fleet: {error}\n")
        return 2
    sys.stdout.write(json.dumps(totals.tree()) + "\n")
    return 0 if stop.is_set() or not totals.waiting else 1


if __name__ == "__main__":
    raise SystemExit(main())
