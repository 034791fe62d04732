"""What arrived? Chunks of vibration and position, from bytes to a checked value, and who sent them."""

from . import beats, condition_store, devices, jetstream, letters, mosquitto, mqtt, phone, raw, recordings, store
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
    Quiet,
    Trimmed,
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
from .flood import Buckets, Budget, cost_of
from .handling import Handling, HandlingOptions, handling_of
from .jetstream import Arrived, Verdict
from .outbox import Outbox, OutboxError
from .quality import admit
from .redact import is_no_go, redact
from .refusal import ADVICE, NOT_NOW, Reason, Refused
from .sender import SYSTEM_CA, Credential, Report, Sender, SenderError, read_credential, write_credential
from .summary import SummaryOptions, summarise
from .trim import Trimmer, TrimOptions, trim
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
    "BrokerUrl",
    "BrokerUrlError",
    "Buckets",
    "Budget",
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
    "Handling",
    "HandlingOptions",
    "Judged",
    "Laser",
    "NoGo",
    "Outbox",
    "OutboxError",
    "Quiet",
    "Reason",
    "Refused",
    "Report",
    "Sender",
    "SenderError",
    "SummaryOptions",
    "TrimOptions",
    "Trimmed",
    "Trimmer",
    "Trust",
    "Verdict",
    "admit",
    "beats",
    "condition_store",
    "cost_of",
    "decode",
    "decode_json",
    "devices",
    "encode",
    "encode_json",
    "gcj02_from_wgs84",
    "handling_of",
    "inspect",
    "is_no_go",
    "jetstream",
    "judge",
    "judge_all",
    "letters",
    "missing_share",
    "mosquitto",
    "mqtt",
    "newcomer_pct",
    "peek",
    "phone",
    "raw",
    "read_broker_url",
    "read_city",
    "read_credential",
    "recordings",
    "redact",
    "store",
    "summarise",
    "tls_of",
    "to_frame",
    "trim",
    "trust",
    "weights_digest",
    "wgs84_from_gcj02",
    "write_credential",
]
