"""Set-up: locks that say what and never from where, help that is complete, and a second run that is quick."""

import json
import os
import re
import subprocess
import sys
import time
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
LOCKS = sorted((ROOT / "requirements").glob("*.lock"))


def test_every_input_has_its_lock():
    assert {lock.stem for lock in LOCKS} == {source.stem for source in (ROOT / "requirements").glob("*.in")}
    assert {lock.stem for lock in LOCKS} >= {"runtime", "test", "dev"}


@pytest.mark.parametrize("lock", LOCKS, ids=lambda lock: lock.stem)
def test_a_lock_pins_and_hashes_all_and_names_no_address(lock):
    text = re.sub(r"(?m)^\s*#.*$", "", lock.read_text())
    assert not re.search(r"://|--(extra-)?index|--find-links|--trusted-host|(?m:^-)|@ ", text)
    entries = re.split(r"\n(?=\S)", text.replace("\\\n", " ").strip())
    assert entries
    for entry in entries:
        assert re.match(r"[a-z0-9][a-z0-9-]*==\S+( ;.*?)?\s+--hash=sha256:[0-9a-f]{64}", entry), entry[:80]


def test_the_locks_agree():
    """One environment takes runtime, test and dev together."""
    pins = {}
    for name in ("runtime", "archive", "research", "roads", "test", "dev"):
        text = (ROOT / "requirements" / f"{name}.lock").read_text()
        for package, version, marker in re.findall(r"(?m)^([a-z0-9-]+)==(\S+)(?: ; (.*?))? \\$", text):
            pins.setdefault((package, marker), set()).add(version)
    assert not {key: found for key, found in pins.items() if len(found) > 1}


def test_the_runtime_stays_lean():
    text = (ROOT / "requirements" / "runtime.lock").read_text()
    heavy = ("dask", "pyarrow", "geopandas", "matplotlib", "pandas", "scipy", "scikit-learn", "pytest", "vyper", "ruff")
    assert not [name for name in heavy if re.search(rf"(?m)^{name}==", text)]


def test_the_front_end_lock_says_what_and_not_where_from():
    text = (ROOT / "package-lock.json").read_text()
    assert '"resolved"' not in text
    packages = json.loads(text)["packages"]
    assert all("integrity" in entry for name, entry in packages.items() if name)
    assert "omit-lockfile-registry-resolved=true" in (ROOT / ".npmrc").read_text()
    assert "registry=" not in (ROOT / ".npmrc").read_text()


def make(*arguments, folder=ROOT, **environment):
    # A make around this test (make test) would pass its own flags on.
    env = {key: value for key, value in os.environ.items() if not key.startswith(("MAKE", "MFLAGS"))}
    return subprocess.run(
        ["make", *arguments], cwd=folder, capture_output=True, text=True, check=False, env={**env, **environment}
    )


def targets():
    phony = re.search(r"(?m)^\.PHONY: (.*)$", (ROOT / "Makefile").read_text())
    return phony[1].split()


def test_help_is_the_default_and_lists_every_target(tmp_path):
    shown = make("-s", "-f", str(ROOT / "Makefile"), folder=tmp_path)
    assert shown.returncode == 0, shown.stderr
    listed = re.findall(r"(?m)^  ([a-z-]+) +\S", shown.stdout)
    assert sorted(listed) == sorted(targets())
    assert {"help", "run", "demo", "test", "lint", "bench", "lock", "clean"} <= set(listed)


def test_clean_leaves_the_data_alone(tmp_path):
    project = tmp_path / "a project"
    project.mkdir()
    (project / "Makefile").write_text((ROOT / "Makefile").read_text())
    for name in ("var/postgres", "var/__pycache__", ".venv/bin", "api/web/vendor", "api/__pycache__"):
        (project / name).mkdir(parents=True)
    (project / "var" / "ports.json").write_text("{}")
    assert make("-s", "clean", folder=project).returncode == 0
    left = sorted(str(path.relative_to(project)) for path in project.rglob("*"))
    assert left == [
        "Makefile", "api", "api/web", "var", "var/__pycache__", "var/ports.json", "var/postgres",
    ]  # fmt: skip
    refused = subprocess.run(
        ["make", "-s", "clean-data"], cwd=project, input="no\n", text=True, capture_output=True, check=False,
        env={key: value for key, value in os.environ.items() if key != "ROADCODE_HOME"},
    )  # fmt: skip
    assert "nothing was removed" in refused.stdout
    assert (project / "var" / "ports.json").exists()


def bootstrap(*arguments, folder=ROOT, **environment):
    return subprocess.run(
        [sys.executable, str(ROOT / "bootstrap.py"), *arguments], cwd=folder, capture_output=True, text=True,
        check=False, env={**os.environ, **environment},
    )  # fmt: skip


@pytest.mark.skipif(not (ROOT / ".venv" / "stamp.json").exists(), reason="no .venv here: set-up was done otherwise")
def test_set_up_is_quick_when_all_is_in_place(tmp_path):
    if Path(sys.prefix) != ROOT / ".venv":
        pytest.skip("these tests do not run from .venv")
    started_s = time.perf_counter()
    done = bootstrap("test", folder=tmp_path)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
    assert time.perf_counter() - started_s < 2.0  # 0.15 s alone; the bound is for a loaded machine


def test_set_up_names_a_wrong_group():
    done = bootstrap("everything")
    assert done.returncode == 2
    assert "runtime|test|dev|archive|research|roads|contracts" in done.stderr


@pytest.mark.parametrize(
    ("told", "advice"),
    [
        ("OSError: [Errno 28] No space left on device", "disk is full"),
        ("NewConnectionError: Failed to establish a new connection\nERROR: No matching distribution", "network"),
        ("npm error code EAI_AGAIN", "network"),
        ("ERROR: THESE PACKAGES DO NOT MATCH THE HASHES FROM THE REQUIREMENTS FILE", "not the one that was locked"),
        ("npm error code EINTEGRITY", "not the one that was locked"),
        ("ERROR: No matching distribution found for numpy==2.4.6", "no wheel for this machine"),
        ("PermissionError: [Errno 13] Permission denied: '.venv/bin'", "make clean"),
        ("SSLError(SSLCertVerificationError(1, '[SSL: CERTIFICATE_VERIFY_FAILED]", "PIP_CERT"),
    ],
)
def test_failures_say_what_to_do(told, advice):
    script = "import sys; sys.path.insert(0, sys.argv[1]); import bootstrap; print(bootstrap.explain(sys.argv[2]))"
    shown = subprocess.run(
        [sys.executable, "-c", script, str(ROOT), told], capture_output=True, text=True, check=True
    )
    assert advice in shown.stdout
