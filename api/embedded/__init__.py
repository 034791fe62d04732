"""PostgreSQL, broker and chain from wheels under one data folder, and the platform's own processes."""

from .broker import (
    Broker,
    BrokerAddress,
    BrokerUser,
    Listen,
    ensure_consumer,
    hash_secret,
    is_loopback,
    this_certificate,
)
from .folder import DataFolder, FolderInUse, open_folder, supervised, write_private
from .monitor import OversizeCount, ailment
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
    "Listen",
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
    "is_loopback",
    "open_folder",
    "stop_signals",
    "supervised",
    "supervising",
    "this_certificate",
    "write_private",
]
