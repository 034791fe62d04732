"""`roadcode phone`: the reference client, playing a recording as if a citizen's phone made it just now."""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, Any

import typer

from .printing import ERR, Json, bar, settings

EXAMPLES = """\
roadcode phone drives/monday --outbox my-phone --enrol http://127.0.0.1:8420 --consent 1 --invitation CODE

roadcode phone --outbox my-phone --credential var/devices/own/my-phone.json --speed 20
"""
_SIMULATED = "simulated"


def phone(
    outbox: Annotated[Path, typer.Option(help="folder of this phone: its outbox and, once enrolled, its credential")],
    drive: Annotated[Path | None, typer.Argument(help="folder of one drive; without it, a simulated one")] = None,
    credential: Annotated[Path | None, typer.Option(help="a phone's credential file")] = None,
    enrol: Annotated[str | None, typer.Option(metavar="URL", help="or: the platform that gives it one")] = None,
    consent: Annotated[str, typer.Option(help="version of the consent text that was agreed to")] = "",
    invitation: Annotated[str | None, typer.Option(help="invitation code, where the platform wants one")] = None,
    speed: Annotated[float, typer.Option(help="times real time; 0 is as fast as it can be read", min=0)] = 1.0,
    wait: Annotated[float, typer.Option(help="seconds to wait for the last verdicts", min=0)] = 60.0,
    passes: Annotated[int, typer.Option(help="simulated: rounds of the two streets", min=1)] = 2,
    seed: Annotated[int, typer.Option(help="simulated: the same seed drives the same", min=0)] = 1,
    as_json: Json = False,
) -> None:
    """Be a citizen's phone: trim, leave out no-go areas, keep on disk until the verdict, send again.

    What comes in is a drive with both its ends. The first and last 200 m and 60 s never leave this command, nor do
    no-go areas of the city file (ROADCODE_CITY). The rest lies in the outbox until the platform's verdict, also while
    there is no network. Killed in the middle, it goes on where it was when it is started again with the same folder;
    nothing is lost and nothing counts twice.
    """
    from ingest import Outbox, TrimOptions, recordings  # noqa: PLC0415  (as everywhere here: `--help` needs none of it)
    from ingest import phone as client  # noqa: PLC0415

    city = settings().read_city()
    own = _credential(outbox, credential, enrol, consent, invitation)
    now_s = time.time()
    with Outbox(outbox) as kept, bar() as progress:
        courier = client.Courier(own, kept)
        courier.start()
        if drive is None:
            source = f"{_SIMULATED} {seed} {passes}"
            state, _ = client.begin(kept, source, 0.0, 0.0, now_s)
            chunks = _simulated(state["start_s"], seed, passes)
            first_s = chunks[0].start_s
        else:
            source = f"drive {drive.resolve()}"
            read = recordings.read_drive(drive)
            state, _ = client.begin(kept, source, read.duration_s, speed, now_s)
            chunks = list(recordings.recorded(read, city, state["start_s"] + read.duration_s))
            first_s = state["start_s"]
        task = progress.add_task(source, total=None)
        said_s = time.monotonic()

        def told(recorded: int, put: int) -> None:
            nonlocal said_s
            line = f"{recorded} recorded, {put} for sending, {len(kept)} in the outbox"
            progress.update(task, description=line)
            if progress.disable and time.monotonic() - said_s > 2:
                said_s = time.monotonic()
                ERR.print(f"{line}{f' ({courier.delivery.fault})' if courier.delivery.fault else ''}", soft_wrap=True)

        # From the middle of a simulated street nobody gets 200 m away.
        options = TrimOptions(crow_m=0.0) if drive is None else TrimOptions()
        played = client.play(chunks, city, kept, source, speed, first_s, told, options=options)
        delivery = courier.finish(wait)
        waiting = len(kept)
    row: dict[str, Any] = {
        "recorded": played.recorded, "kept_back": played.kept_back, "put_before": played.before, "put": played.put,
        "sent": delivery.sent, "accepted": delivery.accepted, "refused": delivery.refused, "resent": delivery.resent,
        "waiting": waiting,
    }  # fmt: skip
    if as_json:
        print(json.dumps(row))
    else:
        from .printing import show  # noqa: PLC0415

        show([{"what": k, "is": json.dumps(v)} for k, v in row.items()], False, f"{own.device}: chunks of 5 s")
    if waiting:
        ERR.print(delivery.fault or "some chunks have no verdict yet: they stay in the outbox; start it again later")
        raise typer.Exit(1)


def _credential(folder: Path, path: Path | None, url: str | None, consent: str, invitation: str | None) -> Any:
    """The credential that was given, or the one of an earlier run, or a new one. Raises SenderError."""
    from ingest import SenderError, read_credential, write_credential  # noqa: PLC0415
    from ingest import phone as client  # noqa: PLC0415

    own = folder / "credential.json"
    if path is None and url is not None and not own.exists():
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        write_credential(own, client.enrol_at(url, consent, invitation))
    found = read_credential(path or own)
    if found.kind != "phone":
        raise SenderError(f"{path or own} is of a {found.kind}: this is a phone's client")
    return found


def _simulated(until_s: float, seed: int, passes: int) -> list[Any]:
    """All that one simulated phone records, its ends included, in order."""
    from ingest import decode  # noqa: PLC0415

    with _files(until_s, seed, passes) as folder:
        chunks = [decode(path.read_bytes()) for path in folder.glob("*/*.cbor")]
    return sorted(chunks, key=lambda chunk: chunk.start_s)


@contextmanager
def _files(until_s: float, seed: int, passes: int) -> Iterator[Path]:
    with tempfile.TemporaryDirectory() as folder:
        command = [
            sys.executable, "-m", "sensors_sim", "--city", str(settings().city), "--files", folder, "--whole",
            "--boxes", "0", "--phones", "1", "--passes", str(passes), "--seed", str(seed), "--until", str(until_s),
        ]  # fmt: skip
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        if done.returncode:
            raise OSError(f"the simulated phone did not drive: {done.stderr.strip()[-500:]}")
        yield Path(folder)
