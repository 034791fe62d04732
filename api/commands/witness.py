"""`roadcode witness`: a department watches the log with its own key, in a folder of its own, on its own machine."""

from __future__ import annotations

import json
import threading
import time
from pathlib import Path
from typing import Annotated, Any

import typer

from .printing import ERR, OUT, Json, show

EXAMPLES = """A witness that comes by itself, and needs no port that is open to the network:

    roadcode witness run --data witness --name witness.police.example \\
        --log "$LOG_KEY" --follow https://roads.example/log

From cron, once a minute: the same with --once. One that is asked by the log: --listen 127.0.0.1:8431 behind a proxy
with TLS. Its public key (`roadcode witness key`) goes to the log's operator and to every auditor."""

app = typer.Typer(
    help="Watch a log for the others: sign what goes on from what was seen, refuse forks.", no_args_is_help=True
)

Data = Annotated[Path, typer.Option("--data", help="the witness's own folder: key, what was signed, evidence")]
Name = Annotated[str, typer.Option("--name", help="its name for good, like witness.police.example")]
PolicyFile = Annotated[Path, typer.Option("--policy", help="policy file (C2SP tlog-policy): logs, witnesses, quorum")]


def errors() -> tuple[type[BaseException], ...]:
    """Errors that say themselves what to do."""
    from ledger import NoteError, NotProvable, PolicyError, Refusal, Restored, WitnessBusy  # noqa: PLC0415

    return NoteError, NotProvable, PolicyError, Refusal, Restored, WitnessBusy


@app.callback()
def witness() -> None:
    """Watch a log for the others: sign what goes on from what was seen, refuse forks."""


@app.command()
def key(data: Data, name: Name, as_json: Json = False) -> None:
    """Print the witness's public key; made where there is none. Back up nothing of the folder: a witness that lost its
    memory is a new witness."""
    from ledger import Witness  # noqa: PLC0415

    with Witness(data, name, []) as made:
        line = made.key.vkey
    if as_json:
        print(json.dumps({"name": name, "vkey": line}, ensure_ascii=False))
    else:
        OUT.print(line, soft_wrap=True, highlight=False, markup=False)


@app.command(epilog=EXAMPLES)
def run(
    data: Data,
    name: Name,
    log: Annotated[list[str], typer.Option("--log", help="public key of a log: text, or a file with it (log.pub)")],
    follow: Annotated[
        str | None, typer.Option("--follow", help="address of the (first) log, like https://HOST/log")
    ] = None,
    once: Annotated[
        bool, typer.Option("--once", help="one turn, for cron; exit 0 signed or seen, 1 refused, 3 away")
    ] = False,
    every: Annotated[float, typer.Option("--every", help="seconds between turns", min=1.0)] = 10.0,
    listen: Annotated[
        str | None, typer.Option("--listen", help="HOST:PORT where a log may ask (C2SP tlog-witness)")
    ] = None,
    mark: Annotated[
        Path | None,
        typer.Option("--mark", help="a file on another disk that keeps the largest size too, against restored folders"),
    ] = None,
    accept_copy: Annotated[
        bool, typer.Option("--accept-copy", help="the folder was moved, and nothing was signed since: take it as it is")
    ] = False,
    as_json: Json = False,
) -> None:
    """Follow a log, or be asked by it: check that it only grows, sign its heads, keep evidence of a second history.

    The first head is believed as it is. From then on only what is proven to go on from it is signed. Runs without the
    platform: no database, no settings, no account."""
    from ledger import Witness  # noqa: PLC0415

    if follow is None and listen is None:
        raise typer.BadParameter("say --follow URL, --listen HOST:PORT, or both")
    logs = [_text_of(one) for one in log]
    with Witness(data, name, logs, mark, accept_copy) as made:
        server = _serve(made, listen) if listen else None
        try:
            if follow is None:
                threading.Event().wait()
            elif once:
                raise typer.Exit(_turn(made, logs[0], follow, as_json))
            else:
                while True:
                    _turn(made, logs[0], follow, as_json)
                    time.sleep(every)
        finally:
            if server is not None:
                server.should_exit = True


def _text_of(given: str) -> str:
    path = Path(given)
    return path.read_text().strip() if "+" not in given or path.is_file() else given.strip()


def _serve(made: Any, listen: str) -> Any:
    import uvicorn  # noqa: PLC0415

    from ..witness_server import witness_app  # noqa: PLC0415

    host, _, port = listen.rpartition(":")
    if not port.isdigit():
        raise typer.BadParameter("--listen reads HOST:PORT")
    config = uvicorn.Config(
        witness_app(made, time.time, lambda text: ERR.print(text, highlight=False, markup=False)),
        host=host or "127.0.0.1", port=int(port), log_level="warning", access_log=False, server_header=False,
        limit_concurrency=64, timeout_keep_alive=60,
    )  # fmt: skip
    server = uvicorn.Server(config)
    threading.Thread(target=server.run, name="witness-http", daemon=True).start()
    ERR.print(f"{made.key.vkey} answers at http://{host or '127.0.0.1'}:{port}/add-checkpoint", highlight=False)
    return server


def _turn(made: Any, log: str, url: str, as_json: bool) -> int:
    """A turn, told in a line; gives the exit status."""
    from ledger import Away, Fork, LogDamaged, Refusal, follow  # noqa: PLC0415

    row: dict[str, Any]
    try:
        done = follow(made, log, url, int(time.time()))
        row = {"did": done.state, "size": done.size, "time": done.time_s, "handed": done.handed, "detail": done.detail}
        status = 3 if done.handed is False else 0
    except Fork as error:
        where = str(error.evidence) if error.evidence else f"(the folder has as many as it takes: {made.folder})"
        advice = (
            "NOTHING was signed. Both notes, and what shows that they contradict each other, are in this file. Give it "
            "to the other witnesses and to the auditors; anybody checks it with `roadcode witness evidence FILE`."
        )
        row, status = {"did": "refused", "why": str(error), "evidence": where, "detail": advice}, 1
    except Refusal as error:
        row, status = {"did": "refused", "why": f"{type(error).__name__}: {error}"}, 1
    except (Away, LogDamaged) as error:
        row, status = {"did": "away", "why": str(error)}, 3
    if as_json:
        print(json.dumps(row, ensure_ascii=False), flush=True)
    elif row["did"] != "seen":
        said = ", ".join(f"{k} {v}" for k, v in row.items() if v not in (None, ""))
        (OUT if status == 0 else ERR).print(said, soft_wrap=True, highlight=False, markup=False)
    return status


@app.command()
def check(
    file: Annotated[Path, typer.Argument(help="a .tlog-proof file")],
    policy: PolicyFile,
    record: Annotated[
        Path | None, typer.Option("--record", help="the record's bytes, where the file does not carry them")
    ] = None,
    as_json: Json = False,
) -> None:
    """Check a .tlog-proof file offline: record, way to the root, the log's signature, and whether enough witnesses of
    the policy signed. Exit code 0 only if all holds."""
    from ledger import parse_policy, verify_tlog_proof  # noqa: PLC0415

    believed = parse_policy(policy.read_bytes())
    text = file.read_bytes().decode("utf-8", "replace")
    steps = verify_tlog_proof(text, believed, record.read_bytes() if record else None)
    mark = {True: "yes", False: "NO", None: "not asked for"}
    show([{"step": s.name, "holds": mark[s.ok], "detail": s.detail} for s in steps], as_json, str(file))
    good = all(s.ok for s in steps if s.wanted)
    if not as_json:
        OUT.print("Every step holds." if good else "A step does NOT hold.")
    raise typer.Exit(0 if good else 1)


@app.command()
def evidence(file: Annotated[Path, typer.Argument(help="a fork-*.json of a witness")], as_json: Json = False) -> None:
    """Check offline whether a file shows that a log signed two histories. Exit code 0 if it does."""
    from ledger import check_evidence  # noqa: PLC0415

    try:
        content = json.loads(file.read_bytes())
    except ValueError as error:
        raise typer.BadParameter(f"{file} is no JSON: {error}") from error
    steps = check_evidence(content if isinstance(content, dict) else {})
    mark = {True: "yes", False: "NO", None: "?"}
    show([{"step": s.name, "holds": mark[s.ok], "detail": s.detail} for s in steps], as_json, str(file))
    raise typer.Exit(0 if all(s.ok for s in steps) else 1)


@app.command()
def proof(
    record: Annotated[int, typer.Argument(help="the record's number", min=0)],
    out: Annotated[Path | None, typer.Option("--out", help="the file (default: record-N.tlog-proof here)")] = None,
    home: Annotated[Path | None, typer.Option("--home", help="the data folder")] = None,
    as_json: Json = False,
) -> None:
    """Write a record's .tlog-proof out of the running platform, under the newest checkpoint with enough witnesses."""
    from ledger import judge, tlog_proof  # noqa: PLC0415

    from .. import wiring  # noqa: PLC0415
    from .printing import settings  # noqa: PLC0415

    full = wiring.resolved(settings(home=home))
    known = wiring.ledger(full)
    with wiring.database(full) as conn:
        made = tlog_proof(conn, known.tiles, record, known.policy)
    path = out or Path(f"record-{record}.tlog-proof")
    path.write_text(made.text())
    found = judge(known.policy, made.checkpoint, known.verifier) if known.policy else None
    row = {
        "file": str(path), "record": record, "size": made.checkpoint.split("\n")[1],
        "witnesses": ", ".join(found.names) if found else "none are named", "quorum": found.enough if found else None,
    }  # fmt: skip
    show([row], as_json, "proof")
