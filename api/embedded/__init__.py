"""PostgreSQL, broker and chain from wheels under one data folder, and the platform's own processes."""

from .broker import (
    Broker,
    BrokerAddress,
    BrokerUser,
    OversizeCount,
    ailment,
    ensure_consumer,
    hash_secret,
)
from .folder import DataFolder, FolderInUse, open_folder, supervised
from .processes import Process, ServiceError
from .pumps import PumpCommand, PumpOptions, Pumps, environment_of, stop_signals
from .services import EmbeddedServices, Services, embedded, found, supervising

__all__ = [
    "Broker",
    "BrokerAddress",
    "BrokerUser",
    "DataFolder",
    "EmbeddedServices",
    "FolderInUse",
    "OversizeCount",
    "Process",
    "PumpCommand",
    "PumpOptions",
    "Pumps",
    "ServiceError",
    "Services",
    "ailment",
    "embedded",
    "ensure_consumer",
    "environment_of",
    "found",
    "hash_secret",
    "open_folder",
    "stop_signals",
    "supervised",
    "supervising",
]
