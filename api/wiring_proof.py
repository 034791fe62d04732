"""The part of wiring that builds what proves: log, receipts, witnesses, chain, district keys and trust lists."""

from __future__ import annotations

from pathlib import Path

from ingest import City
from ledger import (
    Chain,
    DistrictKeys,
    Merging,
    Policy,
    PolicyError,
    Promiser,
    PublicKey,
    Tiles,
    load_promiser,
    parse_policy,
)

from .settings import Settings
from .story import Ledger
from .trust import Own, Trust, own_pair
from .trust_folder import TrustFolder, read_key


def log_ailment(now: Merging, merge_delay_s: int) -> str:
    """What is wrong with the log: a record waits for longer than receipts promise; empty where all is well."""
    if now.oldest_s <= merge_delay_s:
        return ""
    return f"a record waits for {now.oldest_s:.0f} s, receipts promise {merge_delay_s} s: look at the anchorer"


def log_folder(settings: Settings) -> Path:
    """Where the log's tiles and its key lie."""
    return settings.home.resolve() / "ledger" / "log"


def log_name(city: City) -> str:
    """The name under which this instance signs its log."""
    return f"road-health-code/{city.region_code}"


def promiser(settings: Settings) -> Promiser:
    """Who signs receipts; the key is made where there is none. Raises NoteError."""
    folder = log_folder(settings)
    folder.mkdir(parents=True, exist_ok=True)
    return load_promiser(folder, log_name(settings.read_city()), settings.merge_delay_s)


def district_keys(settings: Settings) -> DistrictKeys:
    """The keys with which this district signs road certificates and departments' certificates."""
    city = settings.read_city()
    return DistrictKeys(settings.home.resolve() / "secrets" / "district", city.region_code, city.name_zh)


def trust(settings: Settings) -> Trust:
    """Whose signatures count here. Raises TrustListError where the pinned key cannot be read."""
    home = settings.home.resolve()
    folder = TrustFolder(home / "trust")
    pin = read_key(settings.hub_key) if settings.hub_key else folder.pin()
    keys = district_keys(settings)
    return Trust(
        folder, settings.hub_url or "", pin if settings.hub_url else None,
        lambda: Own(keys, own_pair(home), f"district {keys.issuer}"),
    )  # fmt: skip


def chain(settings: Settings, timeout_s: float = 10.0) -> Chain | None:
    """The chain, None where none is configured."""
    if settings.rpc_url is None:
        return None
    return Chain(settings.rpc_url.get_secret_value(), settings.home.resolve() / "ledger" / "chain", timeout_s)


def admin_key(settings: Settings) -> Path:
    """The key of the account that deploys the contract: the operator's for an outside chain, else the embedded one."""
    home = settings.home.resolve()
    own = home / "secrets" / "chain-admin"
    return own if own.exists() else home / "chain" / "genesis.key"


def ledger(settings: Settings) -> Ledger:
    """What is needed to prove. The log's public key is read from its folder; before the first record it is empty."""
    folder = log_folder(settings)
    try:
        verifier = (folder / "log.pub").read_text().strip()
    except OSError:
        verifier = ""
    return Ledger(Tiles(folder), verifier, chain(settings, timeout_s=3.0), policy(settings))


def policy(settings: Settings) -> Policy | None:
    """Whose cosignatures count; None where no witness is named. Raises PolicyError."""
    if settings.witnesses is None:
        return None
    try:
        return parse_policy(settings.witnesses.read_bytes())
    except OSError as error:
        why = f"{type(error).__name__}: {settings.witnesses}"
        raise PolicyError(f"the policy file cannot be read ({why}): mend ROADCODE_WITNESSES, or unset it") from None
    except PolicyError as error:
        raise PolicyError(f"{settings.witnesses}: {error}") from None


def believed(keys: DistrictKeys) -> tuple[PublicKey, ...]:
    """Those whose signature on a department's certificate counts: also followed ones, since a certificate outlives its
    key's time and ends by itself; no revoked one."""
    return tuple(k.key for k in keys.all() if k.revoked_s is None and "department" in k.uses)
