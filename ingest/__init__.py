"""What arrived? Chunks of vibration and position, from bytes to a checked value, and who sent them."""

from . import beats, jetstream, mosquitto, mqtt, recordings, store
from .broker import BrokerUrl, BrokerUrlError, read_broker_url, tls_of
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
    "BrokerUrl",
    "BrokerUrlError",
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
    "beats",
    "decode",
    "decode_json",
    "encode",
    "encode_json",
    "gcj02_from_wgs84",
    "jetstream",
    "mosquitto",
    "mqtt",
    "peek",
    "read_broker_url",
    "read_city",
    "read_credential",
    "recordings",
    "store",
    "tls_of",
    "to_frame",
    "wgs84_from_gcj02",
    "write_credential",
]
