"""What arrived? Chunks of vibration and position, from bytes to a checked value, and who sent them."""

from . import jetstream, letters, raw, recordings, store
from .chunk import (
    CARRIERS,
    DATUMS,
    DEFECT_KEYS,
    ORIGINS,
    UNKNOWN,
    Bands,
    Chunk,
    Detection,
    Fixes,
    Laser,
)
from .city import City, CityFileError, NoGo, read_city
from .datum import gcj02_from_wgs84, to_frame, wgs84_from_gcj02
from .jetstream import Arrived, Verdict
from .quality import admit
from .refusal import ADVICE, Reason, Refused
from .sender import Credential, Report, Sender, SenderError, read_credential, write_credential
from .wire import MAX_BYTES, VERSION, decode, decode_json, encode, encode_json, peek

__all__ = [
    "ADVICE",
    "CARRIERS",
    "DATUMS",
    "DEFECT_KEYS",
    "MAX_BYTES",
    "ORIGINS",
    "UNKNOWN",
    "VERSION",
    "Arrived",
    "Bands",
    "Chunk",
    "City",
    "CityFileError",
    "Credential",
    "Detection",
    "Fixes",
    "Laser",
    "NoGo",
    "Reason",
    "Refused",
    "Report",
    "Sender",
    "SenderError",
    "Verdict",
    "admit",
    "decode",
    "decode_json",
    "encode",
    "encode_json",
    "gcj02_from_wgs84",
    "jetstream",
    "letters",
    "peek",
    "raw",
    "read_city",
    "read_credential",
    "recordings",
    "store",
    "to_frame",
    "wgs84_from_gcj02",
    "write_credential",
]
