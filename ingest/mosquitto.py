"""What Mosquitto reads: its password file, its access list, and the options without which it would drop chunks.

Pure: hashes and texts. Who writes them where is the command's business.
"""

from __future__ import annotations

import base64
import hashlib
import re
from collections.abc import Iterable
from pathlib import Path
from typing import Final

from .wire import MAX_BYTES

ITERATIONS: Final = 101
"""Rounds of PBKDF2, the number that mosquitto_passwd itself takes. More protect a password that can be guessed; ours
are 160 random bits. Each is paid at every connect of every device, also when 10,000 come back after a power cut."""
SALT_BYTES: Final = 12
"""Mosquitto 2.0 reads salts of exactly this length."""
HEADROOM_BYTES: Final = 1024
"""Above the largest chunk, so that one that is just too large still gets its refusal as a verdict."""
QUEUED: Final = 200_000
"""Chunks that the broker keeps for a worker that is away: fewer are dropped without a word (its default is 1,000; the
devices' resend makes up for it), more could fill a disk of 2 GB with chunks of some 10 kB."""
QUEUED_BYTES: Final = 512 * 1024 * 1024
"""Payloads that the broker keeps for a client that is away: all are in its memory, and all are written at every save.
Fewer and chunks are dropped sooner while the worker is away (the devices' resend brings them), more is memory that it
may not have: by number alone, 200,000 of the largest would be 50 GB."""
INFLIGHT: Final = 1_000
"""Messages on their way to one subscriber: fewer and a worker that speaks MQTT 3.1.1 cannot fill its batches (the
default is 20), more are sent twice after a crash."""
AUTOSAVE_S: Final = 30
"""Between two saves of the broker's store: more often and it stands still while it writes all that is queued, more
seldom and more is sent again after a kill. Its default is half an hour."""
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]{0,63}")
_HASH = re.compile(r"\$7\$[0-9]+\$[A-Za-z0-9+/]+=*\$[A-Za-z0-9+/]+=*")


def password_hash(password: str, salt: bytes) -> str:
    """How Mosquitto keeps a password: $7$, PBKDF2 with SHA-512. salt: 12 random bytes. Raises ValueError."""
    if len(salt) != SALT_BYTES:
        raise ValueError(f"Mosquitto reads salts of {SALT_BYTES} bytes, this one has {len(salt)}")
    digest = hashlib.pbkdf2_hmac("sha512", password.encode(), salt, ITERATIONS)
    return f"$7${ITERATIONS}${base64.b64encode(salt).decode()}${base64.b64encode(digest).decode()}"


def salt_of(hashed: str) -> bytes:
    """The salt of a hash of ours. Raises ValueError where it is none."""
    if not _HASH.fullmatch(hashed):
        raise ValueError("no hash of Mosquitto's")
    return base64.b64decode(hashed.split("$")[3])


def password_file(users: Iterable[tuple[str, str]]) -> str:
    """Names and hashes, a line each. Raises ValueError for a name or hash that would reach beyond its line."""
    lines = []
    for name, hashed in users:
        if not _NAME.fullmatch(name) or not _HASH.fullmatch(hashed):
            raise ValueError(f"{name!r} is no device's name, or its hash is not Mosquitto's: enrol the device again")
        lines.append(f"{name}:{hashed}\n")
    return "".join(lines)


def access_file(worker: str) -> str:
    """Who may do what: a device its own chunks and verdicts, the worker all chunks and all verdicts. Raises ValueError
    where the worker's name could be a pattern."""
    if not re.fullmatch(r"[A-Za-z0-9_-]{1,64}", worker):
        raise ValueError("the worker's user at the broker is 1 to 64 letters, digits, hyphens and underscores")
    return f"""# Written by the platform; changes here are lost. A device is its user name, whatever client id it gives.
pattern write rhc/v1/%u/chunk
pattern read rhc/v1/%u/verdict

user {worker}
topic read rhc/v1/+/chunk
topic write rhc/v1/+/verdict
"""


def options_file(
    passwords: Path, access: Path, host: str, port: int, certificate: Path | None = None, key: Path | None = None
) -> str:
    """Options for mosquitto.conf (or a file in its conf.d); the place of the store is the operator's to say.
    certificate, key: PEM files for TLS, with its whole chain."""
    tls = f"certfile {certificate}\nkeyfile {key}\ntls_version tlsv1.2\n" if certificate and key else ""
    return f"""# Written by the platform; changes here are lost.
allow_anonymous false
password_file {passwords}
acl_file {access}
persistence true
# What came since the last save is lost when the broker is killed; devices send it again, having no verdict for it.
autosave_interval {AUTOSAVE_S}
max_queued_messages {QUEUED}
max_queued_bytes {QUEUED_BYTES}
max_inflight_messages {INFLIGHT}
message_size_limit {MAX_BYTES + HEADROOM_BYTES}

listener {port} {host}
{tls}# A client's id is its user name: who learns another's id can neither end its session nor take what waits in it.
# (It belongs to the listener above: before it, it would open a second one, on 1883 and to everybody.)
use_username_as_clientid true
# Nothing of ours is sent at QoS 2: what is begun at it and never finished would stay in the broker's memory.
max_qos 1
"""
