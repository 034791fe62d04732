"""The command `roadcode`. Each command reads the settings, calls one function and prints what it gives."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any

import structlog
import typer
from pydantic import ValidationError
from rich.markup import escape

from .commands import (
    archive,
    audit,
    bench,
    chain,
    cost,
    dead_letter,
    device,
    evaluate,
    phone,
    points,
    receipt,
    register,
    report,
    roads,
    simulate,
    tls,
    train,
)
from .commands import certificate as certificates
from .commands import department as departments
from .commands import district as district_keys
from .commands import hub as hub_commands
from .commands import trust as trust_list
from .commands import verify as checking
from .commands import witness as witnessing
from .commands.condition import condition
from .commands.printing import ERR, OUT, Json, bar, show
from .commands.printing import settings as given
from .settings import Settings

app = typer.Typer(
    help="Road health code: from vibration to a proven colour for every square metre of a city's roads.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)


# ---------------------------------------------------------------- the platform


@app.command()
def up(
    simulate: Annotated[bool, typer.Option(help="with a simulated fleet on two streets")] = False,
    home: Annotated[Path | None, typer.Option(help="the data folder")] = None,
    port: Annotated[int | None, typer.Option(help="port of the map")] = None,
) -> None:
    """Start the platform and keep it running until Ctrl-C."""
    from .run import run_platform  # noqa: PLC0415  (imports of the pumps are slow; `--help` needs none)

    run_platform(given(home=home, port=port), simulate, _say)


def _say(text: str) -> None:
    OUT.print(text, highlight=False, soft_wrap=True)


@app.command()
def demo(
    home: Annotated[Path | None, typer.Option(help="the data folder; the demo uses a folder in it")] = None,
    out: Annotated[Path, typer.Option(help="where demo.json and demo.png go")] = Path(),
) -> None:
    """Do the whole of it once: simulate, replay, fold, prove, count again; write demo.json and demo.png."""
    from .demo import run_demo  # noqa: PLC0415

    result = run_demo(given(home=home), out, _say)
    show([{"what": k, "is": json.dumps(v, ensure_ascii=False)} for k, v in result.figures.items()], False, "demo")
    show([{"claim": c.text, "holds": "yes" if c.holds else "NO", "because": c.because} for c in result.claims], False)
    if not result.holds:
        ERR.print("[red]not everything that the demo claims is so[/red]")
        raise typer.Exit(1)


@app.command()
def replay(
    folder: Annotated[Path, typer.Argument(help="folder of drives (Accelerometer, Gyroscope, Location .csv.gz)")],
    speed: Annotated[float, typer.Option(help="times real time; 0 is as fast as verdicts come", min=0)] = 0.0,
    copies: Annotated[int, typer.Option(help="devices that send the same drive (plumbing, not truth)", min=1)] = 1,
    home: Annotated[Path | None, typer.Option(help="the data folder")] = None,
    as_json: Json = False,
) -> None:
    """Publish real drives to the running platform, marked as replays."""
    from .replay import replay as play  # noqa: PLC0415

    with bar() as progress:
        tasks: dict[str, Any] = {}

        def told(drive: str, sent: int, total: int) -> None:
            if drive not in tasks:
                tasks[drive] = progress.add_task(drive, total=total)
                if progress.disable:
                    ERR.print(f"replaying {drive}: {total} chunks")
            progress.update(tasks[drive], completed=sent)

        done = play(given(home=home), folder, speed, copies, told)
    rows = [
        {
            "drive": d.drive,
            "chunks": d.chunks,
            "accepted": d.report.accepted,
            "refused": sum(d.report.refused.values()),
            "waiting": d.report.waiting,
            "published km": d.felt.km if d.felt else 0.0,
            "published findings": d.felt.findings if d.felt else 0,
            "km": d.whole.km if d.whole else 0.0,
            "findings": d.whole.findings if d.whole else 0,
            "per km": d.whole.per_km if d.whole else None,
            "low": d.whole.low if d.whole else None,
            "high": d.whole.high if d.whole else None,
        }
        for d in done
    ]
    show(rows, as_json, "REPLAY: moved to the city's centre, its ends not sent; per km of the whole recording")
    if any(d.report.waiting for d in done):
        ERR.print("some chunks have no verdict yet: is the worker running? The logs in the data folder say")
        raise typer.Exit(1)


# ---------------------------------------------------------------- commands with a file of their own


app.command(epilog=phone.EXAMPLES)(phone.phone)
app.command(epilog=cost.EXAMPLES)(cost.cost)
app.command(epilog=simulate.EXAMPLES)(simulate.simulate)
app.command()(train.train)
app.command(epilog=evaluate.EXAMPLES)(evaluate.evaluate)
app.command()(condition)
app.command(epilog=roads.EXAMPLES)(roads.import_roads)
app.command()(roads.roads)
app.command()(archive.archive)
app.command(epilog=report.EXAMPLES)(report.report)
app.add_typer(device.app, name="device")
app.add_typer(departments.app, name="department")
app.add_typer(tls.app, name="tls")
app.add_typer(chain.app, name="chain")
app.add_typer(audit.app, name="audit")
app.add_typer(district_keys.app, name="district")
app.add_typer(trust_list.app, name="trust")
app.add_typer(hub_commands.app, name="hub")
app.add_typer(witnessing.app, name="witness")
app.add_typer(dead_letter.app, name="dead-letter")
app.add_typer(points.app, name="points")
app.add_typer(register.register, name="register")
app.add_typer(register.permit, name="permit")
app.add_typer(register.repair, name="repair")
app.add_typer(receipt.app, name="receipt")
app.add_typer(bench.app, name="bench")


# ---------------------------------------------------------------- proof


app.command(epilog=checking.EXAMPLES)(checking.verify)
app.add_typer(certificates.app, name="certificate")


@app.command()
def history(
    cell: Annotated[int, typer.Argument(help="the square's number, as the map shows it")],
    home: Annotated[Path | None, typer.Option(help="the data folder")] = None,
    as_json: Json = False,
) -> None:
    """Tell how a square's code changed, which passes moved each change, and what the registers say of it."""
    from .commands.history import tell  # noqa: PLC0415

    tell(given(home=home), cell, as_json)


@app.command()
def fsck(home: Annotated[Path | None, typer.Option(help="the data folder")] = None, as_json: Json = False) -> None:
    """Look for a flipped byte anywhere: log, anchors, codes, chunks, evidence."""
    from . import wiring  # noqa: PLC0415
    from .fsck import fsck as check  # noqa: PLC0415

    full = wiring.resolved(given(home=home))
    with wiring.database(full) as conn:
        told: Callable[[str], None] = lambda text: ERR.print(f"checking {text}")  # noqa: E731
        health = wiring.health_options(full)
        faults = check(conn, full.read_city(), wiring.EVIDENCE, health, wiring.ledger(full), told, full.merge_delay_s)
    show([{"part": f.part, "where": f.where, "fault": f.text} for f in faults], as_json, f"{len(faults)} faults")
    raise typer.Exit(1 if faults else 0)


# ---------------------------------------------------------------- settings and measurements


@app.command()
def settings(as_json: Json = False) -> None:
    """Print the settings in force; secrets are masked."""
    now = Settings()
    texts = {name: field.description for name, field in Settings.model_fields.items()}
    rows = [{"setting": f"ROADCODE_{n.upper()}", "value": v, "what": texts[n]} for n, v in now.masked().items()]
    show(rows, as_json)


@app.command()
def mosquitto(
    folder: Annotated[Path, typer.Argument(help="where the files go; Mosquitto must be able to read it")],
    listen: Annotated[str, typer.Option(help="HOST:PORT where devices and the worker connect")] = "127.0.0.1:1883",
    certificate: Annotated[Path | None, typer.Option(help="PEM file for TLS, the whole chain")] = None,
    key: Annotated[Path | None, typer.Option(help="PEM file of its key")] = None,
    pid_file: Annotated[Path | None, typer.Option(help="of the running Mosquitto, which is told to read anew")] = None,
    every: Annotated[float, typer.Option(help="look again every so many seconds until Ctrl-C; 0: once", min=0)] = 0.0,
    home: Annotated[Path | None, typer.Option(help="the data folder")] = None,
    as_json: Json = False,
) -> None:
    """Write Mosquitto's users, rights and options, so that enrolled devices (and nobody else) may publish there."""
    from .commands.mosquitto import write  # noqa: PLC0415

    for done in write(given(home=home), folder, listen, certificate, key, pid_file, every):
        show([done], as_json)


@app.command()
def doctor(home: Annotated[Path | None, typer.Option(help="the data folder")] = None, as_json: Json = False) -> None:
    """Look at each part (set-up, folder, city, database, broker, chain, pumps, clocks) and say what to do."""
    from .commands.doctor import examine  # noqa: PLC0415

    findings = examine(given(home=home))
    show([vars(f) for f in findings], as_json, "doctor")
    raise typer.Exit(1 if any(f.state == "fault" for f in findings) else 0)


# ---------------------------------------------------------------- pumps: started by `up`, or one by one


def _pump(run: Callable[[Settings], None]) -> None:
    level = 20
    structlog.configure(
        wrapper_class=structlog.make_filtering_bound_logger(level),
        processors=[
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            structlog.processors.format_exc_info,
            structlog.processors.KeyValueRenderer(key_order=["timestamp", "level", "event"]),
        ],
    )
    run(Settings())


@app.command(rich_help_panel="Pumps (started by `up`)")
def worker() -> None:
    """Take chunks from the broker, write them down, send verdicts."""
    from .loops import run_worker  # noqa: PLC0415

    _pump(run_worker)


@app.command(rich_help_panel="Pumps (started by `up`)")
def coder() -> None:
    """Fold evidence into codes."""
    from .loops import run_coder  # noqa: PLC0415

    _pump(run_coder)


@app.command(rich_help_panel="Pumps (started by `up`)")
def anchorer() -> None:
    """Take records into the log and anchor its head on the chain."""
    from .loops import run_anchorer  # noqa: PLC0415

    _pump(run_anchorer)


@app.command(rich_help_panel="Pumps (started by `up`)")
def keeper() -> None:
    """Let go of what must not be kept: citizens' chunks, slots, old chunks, old letters."""
    from .loops import run_keeper  # noqa: PLC0415

    _pump(run_keeper)


@app.command(rich_help_panel="Pumps (started by `up`)")
def web() -> None:
    """Serve the map."""
    from .loops import run_web  # noqa: PLC0415

    _pump(run_web)


def _named(error: BaseException) -> str | None:
    """The text of an error that says itself what to do; None for one that is our fault."""
    from ingest import CityFileError, OutboxError, SenderError, letters, recordings  # noqa: PLC0415
    from ledger import (  # noqa: PLC0415
        DistrictKeyError,
        PointsError,
        TrustListError,
    )

    from . import (  # noqa: PLC0415
        archive_days,
        archived,
        embedded,
        enrolment,
        hub,
        hub_line,
        migrate,
        outside,
        plain_broker,
        platform,
        story,
        wiring,
    )

    known: tuple[type[BaseException], ...] = (
        CityFileError, SenderError, OutboxError, recordings.RecordingError, embedded.ServiceError,
        embedded.FolderInUse, wiring.NotRunning, wiring.NotConfigured, platform.NotReady,
        migrate.MigrationChanged, story.NoSuchCell, enrolment.BadDeviceName, outside.OutsideError,
        plain_broker.BadFolder, letters.NoSuchLetter, archived.NotArchived, archive_days.NoParquet,
        receipt.ReceiptFileError, DistrictKeyError, TrustListError, hub.HubError, hub_line.NotUpdated,
        PointsError, *roads.errors(), *register.errors(), *audit.errors(), *witnessing.errors(),
        *certificates.errors(), *departments.errors(), *points.errors(), *chain.errors(), OSError,
    )  # fmt: skip
    if isinstance(error, ValidationError):
        first = error.errors()[0]
        return f"ROADCODE_{str(first['loc'][0]).upper()}: {first['msg']}"
    return str(error) if isinstance(error, known) else None


def main() -> None:
    """The entry point: errors that say what to do are printed in one line, others with their trace."""
    try:
        app()
    except KeyboardInterrupt:
        raise SystemExit(130) from None
    except Exception as error:
        text = _named(error)
        if text is None:
            raise
        ERR.print(f"[red]{type(error).__name__}[/red]: {escape(text)}", highlight=False, soft_wrap=True)
        raise SystemExit(2) from None


if __name__ == "__main__":
    main()
