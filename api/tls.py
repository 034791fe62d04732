"""TLS as it is set: what the listeners get, what devices check it by, and a CA of one's own for a first try."""

from __future__ import annotations

import datetime
import ipaddress
import ssl
import stat
from collections.abc import Sequence
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from ingest import SYSTEM_CA

from .embedded import Listen, open_folder, write_private
from .settings import Settings

DAYS = 365
"""How long a certificate of our own holds. Longer, and a first try is still there in years; shorter, and the fleet of
a trial falls silent in the middle of it."""


class NotConfigured(ValueError):
    """A setting is missing or unsafe; the text says which."""


def check_tls(settings: Settings) -> None:
    """Raises NotConfigured where certificate and key do not fit together or the key is open to others."""
    certificate, key = settings.tls_cert, settings.tls_key
    if certificate is None and key is None:
        return
    if certificate is None or key is None:
        raise NotConfigured("ROADCODE_TLS_CERT and ROADCODE_TLS_KEY come together: set both, or neither")
    try:
        mode = key.stat().st_mode
        ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER).load_cert_chain(certificate, key)
    except (OSError, ssl.SSLError) as error:
        raise NotConfigured(
            f"ROADCODE_TLS_CERT={certificate} and ROADCODE_TLS_KEY={key} cannot be used ({error}): they must be PEM "
            "files that belong together, the key without a passphrase; `roadcode tls self-signed` makes a pair for a "
            "first try"
        ) from None
    if mode & stat.S_IRWXO:
        raise NotConfigured(f"ROADCODE_TLS_KEY={key} can be read by every user of this machine: chmod 600 {key}")


def listen(settings: Settings) -> Listen:
    """Where the embedded broker lets devices in. Raises NotConfigured."""
    host, _, port = settings.mqtt_listen.rpartition(":")
    if not host or (":" in host and not host.startswith("[")):  # a bare address, perhaps of version 6
        host, port = settings.mqtt_listen, "0"
    if not port.isdigit() or int(port) > 65_535:
        raise NotConfigured(f"ROADCODE_MQTT_LISTEN={settings.mqtt_listen} is neither HOST nor HOST:PORT")
    try:
        return Listen(host.strip("[]"), int(port), settings.tls_cert, settings.tls_key)
    except ValueError as error:
        raise NotConfigured(
            f"ROADCODE_MQTT_LISTEN={settings.mqtt_listen}: {error}. Set ROADCODE_TLS_CERT and ROADCODE_TLS_KEY"
        ) from None


def device_ca(settings: Settings) -> str | None:
    """What goes into credentials: the CA as PEM, or that the machine's own are trusted; None without TLS."""
    if settings.tls_cert is None:
        return None
    if settings.tls_ca is None:
        return SYSTEM_CA
    try:
        return settings.tls_ca.read_text()
    except OSError as error:
        raise NotConfigured(f"ROADCODE_TLS_CA={settings.tls_ca} cannot be read ({error})") from None


def _name(text: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, text[:64])])


def _alternatives(hosts: Sequence[str]) -> x509.SubjectAlternativeName:
    names: list[x509.GeneralName] = []
    for host in hosts:
        try:
            names.append(x509.IPAddress(ipaddress.ip_address(host)))
        except ValueError:
            names.append(x509.DNSName(host))
    return x509.SubjectAlternativeName(names)


def _private(path: Path, key: ec.EllipticCurvePrivateKey) -> None:
    pem = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    write_private(path, pem.decode())


def self_signed(home: Path, hosts: Sequence[str], now: datetime.datetime) -> dict[str, Path]:
    """Makes a CA and a server certificate for these names and addresses, in the folder `tls` of the data folder.

    The CA's key is thrown away: nobody can make a second certificate that the devices would trust, and a new one means
    a new CA and new credentials. Gives the files by the setting that they belong to.
    """
    folder = open_folder(home).home / "tls"
    folder.mkdir(mode=0o700, exist_ok=True)
    ca_key, key = (ec.generate_private_key(ec.SECP256R1()) for _ in range(2))
    end = now + datetime.timedelta(days=DAYS)
    ca_name = _name(f"road health code, {hosts[0]}")

    def begun(subject: x509.Name, public: ec.EllipticCurvePublicKey) -> x509.CertificateBuilder:
        return (
            x509.CertificateBuilder().subject_name(subject).issuer_name(ca_name).public_key(public)
            .serial_number(x509.random_serial_number())
            # A device whose clock is a little behind must not find it not yet valid.
            .not_valid_before(now - datetime.timedelta(hours=1)).not_valid_after(end)
            .add_extension(x509.SubjectKeyIdentifier.from_public_key(public), critical=False)
            .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(ca_key.public_key()), critical=False)
        )  # fmt: skip

    def usage(**given: bool) -> x509.KeyUsage:
        every = ("digital_signature", "content_commitment", "key_encipherment", "data_encipherment", "key_agreement",
                 "key_cert_sign", "crl_sign", "encipher_only", "decipher_only")  # fmt: skip
        return x509.KeyUsage(**{name: given.get(name, False) for name in every})

    ca = (
        begun(ca_name, ca_key.public_key())
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .add_extension(usage(key_cert_sign=True, crl_sign=True), critical=True)
        .sign(ca_key, hashes.SHA256())
    )
    server = (
        begun(_name(hosts[0]), key.public_key())
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(_alternatives(hosts), critical=False)
        .add_extension(usage(digital_signature=True), critical=True)
        .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH]), critical=False)
        .sign(ca_key, hashes.SHA256())
    )
    files = {"tls_ca": folder / "ca.pem", "tls_cert": folder / "server.pem", "tls_key": folder / "server.key"}
    _private(files["tls_key"], key)
    write_private(files["tls_cert"], server.public_bytes(serialization.Encoding.PEM).decode())
    write_private(files["tls_ca"], ca.public_bytes(serialization.Encoding.PEM).decode())
    return files
