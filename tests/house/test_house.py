"""The house: rooms in floor order, each entered by its door, none that wakes up by being imported.

Everything is read from the source with the standard library, so that it is checked wherever tests run.
"""

import ast
import importlib
import json
import re
import subprocess
import sys
from functools import cache
from graphlib import CycleError, TopologicalSorter
from itertools import chain
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
FLOORS = ("ingest", "grid", "defects", "ledger", "api")
MAY_IMPORT = {room: set(FLOORS[:i]) for i, room in enumerate(FLOORS)} | {"sensors_sim": {"ingest", "defects"}}
ROOMS = tuple(MAY_IMPORT)
DOORS = ("ingest", "grid", "defects", "ledger")  # nobody enters api and sensors_sim: they are started
SUB_DOORS = ("api.embedded", "defects.research")

PAST_THE_DOOR: dict[tuple[str, str], str] = {}
"""Cross-room imports that do not go through the door: (file, what) -> why it must be so. Empty is the aim."""

READS_THE_ENVIRONMENT = {
    "api/embedded/chain.py": "hands our own environment on to the chain it starts",
    "api/embedded/postgres.py": "PATH of the server it starts",
    "api/embedded/broker.py": "PATH of the broker it starts",
    "api/embedded/pumps.py": "hands our own environment on to the pumps, settings and secrets among it",
    "ledger/evm.py": "names the keccak backend to a library that is told in no other way; sets, does not read",
    "bootstrap.py": "set-up runs before there are settings: the user's index, proxy and certificates",
}
LONG_FILES = {
    "bootstrap.py": "set-up must be one file of the standard library: nothing is installed when it runs",
    "defects/filter.py": "one compiled pass over a square's days; compiled functions call none of other files",
    "ingest/wire.py": "the format from bytes to chunk and back, in one place to read beside docs/wire.cddl",
}


def modules():
    """Every module of the rooms: dotted name -> file."""
    found = {}
    for room in ROOMS:
        for path in sorted((ROOT / room).rglob("*.py")):
            parts = path.relative_to(ROOT).with_suffix("").parts
            found[".".join(parts[:-1] if parts[-1] == "__init__" else parts)] = path
    return found


MODULES = modules()


@cache
def tree_of(path):
    return ast.parse(path.read_text(), str(path))


def place(path):
    return path.relative_to(ROOT).as_posix()


def is_type_checking(node):
    test = node.test
    return (isinstance(test, ast.Name) and test.id == "TYPE_CHECKING") or (
        isinstance(test, ast.Attribute) and test.attr == "TYPE_CHECKING"
    )


def at_import(body):
    """The import statements that run when a module is imported: not those in functions or for type checkers."""
    for node in body:
        if isinstance(node, ast.Import | ast.ImportFrom):
            yield node
        elif isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda):
            continue
        elif isinstance(node, ast.If) and is_type_checking(node):
            yield from at_import(node.orelse)
        else:
            for field in ("body", "orelse", "finalbody"):
                yield from at_import(getattr(node, field, []))
            for part in (*getattr(node, "handlers", []), *getattr(node, "cases", [])):
                yield from at_import(part.body)


def origin_of(module, node):
    """The dotted name after `from`, with leading dots resolved; None where they lead out of the room."""
    if not node.level:
        return node.module
    package = module.split(".") if MODULES[module].name == "__init__.py" else module.split(".")[:-1]
    if node.level > len(package):
        return None
    return ".".join([*package[: len(package) - node.level + 1], *([node.module] if node.module else [])])


def targets(module, node):
    """The modules of the house that an import statement of a module asks for."""
    if isinstance(node, ast.Import):
        return [alias.name for alias in node.names if alias.name.split(".")[0] in ROOMS]
    origin = origin_of(module, node)
    if origin is None or origin.split(".")[0] not in ROOMS:
        return []
    return [name if (name := f"{origin}.{alias.name}") in MODULES else origin for alias in node.names]


def crossings():
    """Every import of another room or of the tests, wherever it stands: (module, statement)."""
    for module, path in MODULES.items():
        for node in ast.walk(tree_of(path)):
            if isinstance(node, ast.Import):
                names = [alias.name for alias in node.names]
            elif isinstance(node, ast.ImportFrom):
                names = [origin_of(module, node) or "out of the room"]
            else:
                continue
            for name in names:
                room = name.split(".")[0]
                if room != module.split(".")[0] and (room in (*ROOMS, "tests") or name == "out of the room"):
                    yield module, node, name


def all_of(room):
    """`__all__` as it is written in a door."""
    for node in tree_of(MODULES[room]).body:
        if isinstance(node, ast.Assign) and any(isinstance(t, ast.Name) and t.id == "__all__" for t in node.targets):
            return ast.literal_eval(node.value)
    return None


def test_no_module_imports_itself_in_a_circle():
    graph = {
        module: {t for node in at_import(tree_of(path).body) for t in targets(module, node) if t != module}
        for module, path in MODULES.items()
    }
    assert sum(map(len, graph.values())) > 100  # the reading sees the house
    try:
        TopologicalSorter(graph).prepare()
    except CycleError as error:
        pytest.fail("import cycle: " + " <- ".join(error.args[1]))


def test_the_check_for_circles_finds_one():
    with pytest.raises(CycleError):
        TopologicalSorter({"ingest.wire": {"ingest.chunk"}, "ingest.chunk": {"ingest.wire"}}).prepare()
    body = ast.parse(
        "if TYPE_CHECKING:\n import a\nelse:\n import b\ntry:\n import c\nexcept E:\n import d\n"
        "def f():\n import e\nclass C:\n import g\nwith x:\n import h"
    ).body
    assert [node.names[0].name for node in at_import(body)] == ["b", "c", "d", "g", "h"]


def test_a_room_imports_only_rooms_its_data_has_passed_through():
    wrong = [
        f"{place(MODULES[module])}:{node.lineno} imports {name}"
        for module, node, name in crossings()
        if name.split(".")[0] not in MAY_IMPORT[module.split(".")[0]]
    ]
    assert wrong == []


def test_rooms_enter_each_other_by_the_door():
    wrong, used = [], set()
    for module, node, name in crossings():
        here = place(MODULES[module])
        if isinstance(node, ast.Import):
            asked = [(name, False)]
        else:
            door = all_of(name) if name in (*DOORS, *SUB_DOORS) else None
            asked = [(f"{name}.{a.name}", door is not None and a.name in door) for a in node.names]
        for what, allowed in asked:
            if (here, what) in PAST_THE_DOOR:
                used.add((here, what))
            elif not allowed:
                wrong.append(f"{here}:{node.lineno} takes {what}, which the door does not offer")
    assert wrong == []
    assert used == set(PAST_THE_DOOR)  # an exception that is no longer needed is taken off the list


def test_inside_a_room_imports_are_relative():
    wrong = []
    for module, path in MODULES.items():
        for node in ast.walk(tree_of(path)):
            names = [a.name for a in node.names] if isinstance(node, ast.Import) else []
            if isinstance(node, ast.ImportFrom) and not node.level:
                names = [str(node.module)]
            if any(name.split(".")[0] == module.split(".")[0] for name in names):
                wrong.append(f"{place(path)}:{node.lineno}")
    assert wrong == []


def test_nobody_imports_the_simulator_or_the_tests():
    """The command line starts `python -m sensors_sim` instead."""
    assert [m for m, _, name in crossings() if name.split(".")[0] in ("sensors_sim", "tests", "api")] == []


@pytest.mark.parametrize("room", ROOMS)
def test_a_room_is_ours(room):
    """Names as plain as grid are taken by others too: what is imported must be what lies here."""
    found = Path(importlib.import_module(room).__file__).resolve()
    assert found == ROOT / room / "__init__.py"


def kind_first(name):
    """Constants, then classes, then the rest, each by the alphabet, as the linter sorts them."""
    return (0 if name.isupper() else 1 if name[0].isupper() else 2), name


@pytest.mark.parametrize("name", [*DOORS, "sensors_sim", *SUB_DOORS])
def test_a_door_is_sorted_and_leads_somewhere(name):
    door = all_of(name)
    assert door == sorted(set(door), key=kind_first)
    module = importlib.import_module(name)
    assert [entry for entry in door if not hasattr(module, entry)] == []


@pytest.mark.parametrize("room", [*DOORS, "sensors_sim"])
def test_a_door_says_what_its_room_answers(room):
    assert "?" in (ast.get_docstring(tree_of(MODULES[room])) or "").split("\n")[0]


def environment_lines(path):
    """Lines in which a file reaches for the environment."""
    for node in ast.walk(tree_of(path)):
        named = {"environ", "environb", "getenv", "getenvb", "putenv", "unsetenv"}
        if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name) and node.value.id == "os":
            if node.attr in named:
                yield node.lineno
        elif isinstance(node, ast.ImportFrom) and node.module == "os" and named & {a.name for a in node.names}:
            yield node.lineno


def test_only_the_settings_read_the_environment():
    """api/settings.py does it through pydantic-settings and needs no call of its own."""
    files = [*MODULES.values(), ROOT / "bootstrap.py"]
    found = {place(path): lines for path in files if (lines := list(environment_lines(path)))}
    assert {name: lines for name, lines in found.items() if name not in READS_THE_ENVIRONMENT} == {}
    assert set(READS_THE_ENVIRONMENT) == set(found)  # no exception stays on the list unused
    readers = [place(p) for p in MODULES.values() if re.search(r"(?m)^(from|import) pydantic_settings", p.read_text())]
    assert readers == ["api/settings.py"]


_WATCH = """
import importlib, json, os, sys, threading
root, names = sys.argv[1], sys.argv[2:]
sys.path.insert(0, root)
sys.dont_write_bytecode = True
seen = {"read": [], "written": [], "started": [], "environment": []}
on = True

def inside(path):
    return isinstance(path, str) and os.path.abspath(path).startswith(root + os.sep)

def ours(frame):
    while frame is not None:
        name = frame.f_code.co_filename
        if inside(name) and os.sep + "site-packages" + os.sep not in name:
            return os.path.relpath(name, root)
        if not (name.startswith("<frozen") or name.endswith(os.sep + "os.py")):
            return None  # a library asks on its own account
        frame = frame.f_back

def hook(event, args):
    if not on:
        return
    # numba looks whether its cache may stand beside the bytecode: a folder made and a file tried, as Python does
    # itself.
    if "__pycache__" in str(args[0]):
        return
    if event == "open":
        path, mode, flags = args
        writes = bool(set(mode or "") & set("wax+")) if mode else bool((flags or 0) & (os.O_WRONLY | os.O_RDWR))
        if writes and path != os.devnull:
            seen["written"].append(str(path))
        elif inside(path) and not path.endswith((".py", ".pyc")) and "site-packages" not in path:
            seen["read"].append(os.path.relpath(path, root))
    elif event in ("subprocess.Popen", "os.system", "os.fork", "os.posix_spawn", "socket.bind", "socket.connect",
                   "os.mkdir", "os.remove", "os.rename"):
        seen["started"].append(event)

sys.addaudithook(hook)
plain = type(os.environ).__getitem__
def noted(self, key):
    where = ours(sys._getframe(1))
    if where:
        seen["environment"].append([where, key])
    return plain(self, key)
type(os.environ).__getitem__ = noted
for name in names:
    importlib.import_module(name)
on = False
seen["threads"] = threading.active_count() - 1
print(json.dumps(seen))
"""


@pytest.fixture(scope="module")
def woken():
    """What happens when every module of the house is imported, in a process of its own."""
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", _WATCH, str(ROOT), *MODULES], capture_output=True, text=True, cwd="/",
        check=False, timeout=120,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr[-2000:]
    return json.loads(done.stdout.splitlines()[-1])


def test_an_import_reads_no_settings(woken):
    assert {tuple(entry) for entry in woken["environment"]} <= {("ledger/evm.py", "ETH_HASH_BACKEND")}


def test_an_import_reads_no_file_of_ours(woken):
    """City file, SQL, contract, page: each is read when it is needed, so that an import cannot fail for its sake."""
    assert woken["read"] == []


def test_an_import_writes_nothing_and_starts_nothing(woken):
    assert woken["written"] == []
    assert woken["started"] == []
    assert woken["threads"] == 0


def source_files():
    for folder in (*ROOMS, "tests"):
        yield from (ROOT / folder).rglob("*.py")
    yield ROOT / "bootstrap.py"


def test_no_file_is_too_long_to_read():
    """300 lines are the aim; over 400 a file is split or stands on the list with its reason. Tests may have 500: they
    are read case by case."""
    sizes = {place(p): len(p.read_text().splitlines()) for p in source_files()}
    long = {name: n for name, n in sizes.items() if n > (500 if name.startswith("tests/") else 400)}
    assert {name: n for name, n in long.items() if name not in LONG_FILES} == {}
    assert [name for name in LONG_FILES if not (ROOT / name).is_file()] == []


def test_names_say_what_is_inside():
    """A file named so takes in whatever has no other place, and is soon imported by all."""
    empty_words = {"manager", "managers", "util", "utils", "helper", "helpers", "common", "misc"}
    files = chain(source_files(), (ROOT / "docs").rglob("*"), *((ROOT / r).rglob("*.*") for r in ROOMS))
    ours = {place(p) for p in files if not {"vendor", "vendor.new"} & set(p.parts)}  # others name theirs as they like
    assert len(ours) > 100
    assert {name for name in ours if empty_words & set(re.split(r"[^a-z]+", name.lower()))} == set()


def test_every_folder_of_tests_is_a_package():
    """Without its __init__.py a folder tests/grid would be imported as `grid`, in the place of the room."""
    folders = {p.parent for p in (ROOT / "tests").rglob("*.py")}
    assert [place(f) for f in folders if not (f / "__init__.py").is_file()] == []
