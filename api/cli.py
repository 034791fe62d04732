"""The command `roadcode`. Each command reads the settings, calls one function and prints what it gives."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any

import structlog
import typer
from pydantic import ValidationError
from rich.console import Console
from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn, TimeElapsedColumn
from rich.table import Table

from .settings import Settings

app = typer.Typer(
    help="Road health code: from vibration to a proven colour for every square metre of a city's roads.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)
_Json = Annotated[bool, typer.Option("--json", help="print JSON instead of a table")]
_OUT = Console()
_ERR = Console(stderr=True)


def _settings(**given: Any) -> Settings:
    settings = Settings()
    return settings.model_copy(update={k: v for k, v in given.items() if v is not None})


def _show(rows: list[dict[str, Any]], as_json: bool, title: str = "") -> None:
    """Rows as a table, or as JSON."""
    if as_json:
        print(json.dumps(rows, ensure_ascii=False, indent=1, default=str))
        return
    table = Table(title=title or None)
    for name in rows[0] if rows else []:
        table.add_column(name)
    for row in rows:
        table.add_row(*(_cell(v) for v in row.values()))
    _OUT.print(table)


def _cell(value: Any) -> str:
    if isinstance(value, float):
        return f"{value:.2f}"
    return "" if value is None else str(value)


def _bar() -> Progress:
    """A progress bar on a terminal, nothing elsewhere (commands say plain lines there)."""
    columns = (TextColumn("{task.description}"), BarColumn(), TaskProgressColumn(), TimeElapsedColumn())
    return Progress(*columns, console=_ERR, disable=not _ERR.is_terminal)


# ---------------------------------------------------------------- the platform


@app.command()
def up(
    simulate: Annotated[bool, typer.Option(help="with a simulated fleet on two streets")] = False,
    home: Annotated[Path | None, typer.Option(help="the data folder")] = None,
    port: Annotated[int | None, typer.Option(help="port of the map")] = None,
) -> None:
    """Start the platform and keep it running until Ctrl-C."""
    from .run import run_platform  # noqa: PLC0415  (imports of the pumps are slow; `--help` needs none)

    run_platform(_settings(home=home, port=port), simulate, _say)


def _say(text: str) -> None:
    _OUT.print(text, highlight=False, soft_wrap=True)


@app.command()
def demo(
    home: Annotated[Path | None, typer.Option(help="the data folder; the demo uses a folder in it")] = None,
    out: Annotated[Path, typer.Option(help="where demo.json and demo.png go")] = Path(),
) -> None:
    """Do the whole of it once: simulate, replay, fold, prove, count again; write demo.json and demo.png."""
    from .demo import run_demo  # noqa: PLC0415

    result = run_demo(_settings(home=home), out, _say)
    _show([{"what": k, "is": json.dumps(v, ensure_ascii=False)} for k, v in result.figures.items()], False, "demo")
    _show([{"claim": c.text, "holds": "yes" if c.holds else "NO", "because": c.because} for c in result.claims], False)
    if not result.holds:
        _ERR.print("[red]not everything that the demo claims is so[/red]")
        raise typer.Exit(1)


@app.command()
def replay(
    folder: Annotated[Path, typer.Argument(help="folder of drives (Accelerometer, Gyroscope, Location .csv.gz)")],
    speed: Annotated[float, typer.Option(help="times real time; 0 is as fast as verdicts come", min=0)] = 0.0,
    copies: Annotated[int, typer.Option(help="devices that send the same drive (plumbing, not truth)", min=1)] = 1,
    home: Annotated[Path | None, typer.Option(help="the data folder")] = None,
    as_json: _Json = False,
) -> None:
    """Publish real drives to the running platform, marked as replays."""
    from .replay import replay as play  # noqa: PLC0415

    with _bar() as bar:
        tasks: dict[str, Any] = {}

        def told(drive: str, sent: int, total: int) -> None:
            if drive not in tasks:
                tasks[drive] = bar.add_task(drive, total=total)
                if bar.disable:
                    _ERR.print(f"replaying {drive}: {total} chunks")
            bar.update(tasks[drive], completed=sent)

        done = play(_settings(home=home), folder, speed, copies, told)
    rows = [
        {
            "drive": d.drive,
            "chunks": d.chunks,
            "accepted": d.report.accepted,
            "refused": sum(d.report.refused.values()),
            "waiting": d.report.waiting,
            "km": d.felt.km if d.felt else 0.0,
            "findings": d.felt.findings if d.felt else 0,
            "per km": d.felt.per_km if d.felt else None,
            "low": d.felt.low if d.felt else None,
            "high": d.felt.high if d.felt else None,
        }
        for d in done
    ]
    _show(rows, as_json, "REPLAY: positions are moved to the city's centre; findings per km with 95 % intervals")
    if any(d.report.waiting for d in done):
        _ERR.print("some chunks have no verdict yet: is the worker running? The logs in the data folder say")
        raise typer.Exit(1)


# ---------------------------------------------------------------- proof


@app.command()
def verify(
    cell: Annotated[int, typer.Argument(help="the square's number, as the map shows it")],
    home: Annotated[Path | None, typer.Option(help="the data folder")] = None,
    as_json: _Json = False,
) -> None:
    """Check a square's code against its record, the record against the log, the log against the chain."""
    from . import story, wiring  # noqa: PLC0415

    full = wiring.resolved(_settings(home=home))
    with wiring.database(full) as conn:
        steps, _ = story.verify(conn, cell, wiring.ledger(full))
    mark = {True: "yes", False: "NO", None: "not yet"}
    _show([{"step": s.name, "holds": mark[s.ok], "detail": s.detail} for s in steps], as_json, f"square {cell}")
    status = story.status_of(steps)
    if not as_json:
        _OUT.print({"anchored": "Every step holds.", "pending": "What there is holds; some steps are still to come."}
                   .get(status, "A step does NOT hold: what is shown is not what was recorded."))  # fmt: skip
    raise typer.Exit({"anchored": 0, "pending": 3}.get(status, 1))


@app.command()
def fsck(home: Annotated[Path | None, typer.Option(help="the data folder")] = None, as_json: _Json = False) -> None:
    """Look for a flipped byte anywhere: log, anchors, codes, chunks, evidence."""
    from . import wiring  # noqa: PLC0415
    from .fsck import fsck as check  # noqa: PLC0415

    full = wiring.resolved(_settings(home=home))
    with wiring.database(full) as conn:
        told: Callable[[str], None] = lambda text: _ERR.print(f"checking {text}")  # noqa: E731
        faults = check(conn, full.read_city(), wiring.EVIDENCE, wiring.health_options(full), wiring.ledger(full), told)
    _show([{"part": f.part, "where": f.where, "fault": f.text} for f in faults], as_json, f"{len(faults)} faults")
    raise typer.Exit(1 if faults else 0)


# ---------------------------------------------------------------- settings and devices


@app.command()
def settings(as_json: _Json = False) -> None:
    """Print the settings in force; secrets are masked."""
    now = Settings()
    texts = {name: field.description for name, field in Settings.model_fields.items()}
    rows = [{"setting": f"ROADCODE_{n.upper()}", "value": v, "what": texts[n]} for n, v in now.masked().items()]
    _show(rows, as_json)


@app.command()
def enrol(
    device: Annotated[str, typer.Argument(help="name: lower-case letters, digits and hyphens")],
    kind: Annotated[str, typer.Option(help="box or phone")] = "box",
    home: Annotated[Path | None, typer.Option(help="the data folder")] = None,
) -> None:
    """Let a device publish: gives it a password of its own, in a credential file that only you can read."""
    from . import wiring  # noqa: PLC0415
    from .platform import enrol_here  # noqa: PLC0415

    if kind not in ("box", "phone"):
        raise typer.BadParameter("kind is box or phone")
    folder, _ = enrol_here(wiring.resolved(_settings(home=home)), [(device, kind)], "own")
    _OUT.print(f"credential: {folder / device}.json (0600; keep it secret, the client id too)", soft_wrap=True)


@app.command()
def bench(as_json: _Json = False) -> None:
    """Measure the pure parts on this machine: addresses, decoding, observing, folding, painting."""
    from .bench import run_bench  # noqa: PLC0415

    _show(run_bench(), as_json, "one core, this machine, now")


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
def web() -> None:
    """Serve the map."""
    from .loops import run_web  # noqa: PLC0415

    _pump(run_web)


def _named(error: BaseException) -> str | None:
    """The text of an error that says itself what to do; None for one that is our fault."""
    from ingest import CityFileError, SenderError, recordings  # noqa: PLC0415

    from . import embedded, enrolment, migrate, platform, story, wiring  # noqa: PLC0415

    known = (
        CityFileError, SenderError, recordings.RecordingError, embedded.ServiceError, embedded.FolderInUse,
        wiring.NotRunning, wiring.NotConfigured, platform.NotReady, migrate.MigrationChanged, story.NoSuchCell,
        enrolment.BadDeviceName, OSError,
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
        _ERR.print(f"[red]{type(error).__name__}[/red]: {text}", highlight=False, soft_wrap=True)
        raise SystemExit(2) from None


if __name__ == "__main__":
    main()
