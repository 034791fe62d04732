"""What arrived? Chunks of vibration and position, from bytes to a checked value, and who sent them."""

from . import condition_store, jetstream, letters, raw, recordings, store
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
from .condition import (
    Condition,
    ConditionOptions,
    Trust,
    inspect,
    missing_share,
    newcomer_pct,
    trust,
    weights_digest,
)
from .datum import gcj02_from_wgs84, to_frame, wgs84_from_gcj02
from .fixes import FixFaults, FixOptions, Judged, judge, judge_all
from .jetstream import Arrived, Verdict
from .quality import admit
from .redact import redact
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
    "Condition",
    "ConditionOptions",
    "Credential",
    "Detection",
    "FixFaults",
    "FixOptions",
    "Fixes",
    "Judged",
    "Laser",
    "NoGo",
    "Reason",
    "Refused",
    "Report",
    "Sender",
    "SenderError",
    "Trust",
    "Verdict",
    "admit",
    "condition_store",
    "decode",
    "decode_json",
    "encode",
    "encode_json",
    "gcj02_from_wgs84",
    "inspect",
    "jetstream",
    "judge",
    "judge_all",
    "letters",
    "missing_share",
    "newcomer_pct",
    "peek",
    "raw",
    "read_city",
    "read_credential",
    "recordings",
    "redact",
    "store",
    "to_frame",
    "trust",
    "weights_digest",
    "wgs84_from_gcj02",
    "write_credential",
]
