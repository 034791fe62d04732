"""What arrived? Chunks of vibration and position, from bytes to a checked value, and who sent them."""

from . import devices, jetstream, recordings, store
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
from .flood import Buckets, Budget, cost_of
from .jetstream import Arrived, Verdict
from .quality import admit
from .refusal import ADVICE, NOT_NOW, Reason, Refused
from .sender import SYSTEM_CA, Credential, Report, Sender, SenderError, read_credential, write_credential
from .wire import MAX_BYTES, VERSION, decode, decode_json, encode, encode_json, peek

__all__ = [
    "ADVICE",
    "CARRIERS",
    "DATUMS",
    "DEFECT_KEYS",
    "MAX_BYTES",
    "NOT_NOW",
    "ORIGINS",
    "SYSTEM_CA",
    "UNKNOWN",
    "VERSION",
    "Arrived",
    "Bands",
    "Buckets",
    "Budget",
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
    "cost_of",
    "decode",
    "decode_json",
    "devices",
    "encode",
    "encode_json",
    "gcj02_from_wgs84",
    "jetstream",
    "peek",
    "read_city",
    "read_credential",
    "recordings",
    "store",
    "to_frame",
    "wgs84_from_gcj02",
    "write_credential",
]
