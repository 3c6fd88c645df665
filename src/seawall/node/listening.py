"""Where a door may listen: beyond loopback only under TLS, operations there only with the certificates of clients."""

import ipaddress
from pathlib import Path
from typing import Any

import msgspec

from seawall.vocabulary.errors import ConfigurationError


class Tls(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Files in PEM; with `client_ca` only clients whose certificate it signed are let in. None: plain."""

    certificate: str = ""
    key: str = ""
    client_ca: str = ""

    @property
    def on(self) -> bool:
        """Whether there is TLS."""
        return bool(self.certificate and self.key)

    @property
    def mutual(self) -> bool:
        """Whether clients must show a certificate."""
        return self.on and bool(self.client_ca)

    def server(self) -> dict[str, Any]:
        """What granian's server is told."""
        if not self.on:
            return {}
        told: dict[str, Any] = {"ssl_cert": Path(self.certificate), "ssl_key": Path(self.key)}
        return told | ({"ssl_ca": Path(self.client_ca), "ssl_client_verify": True} if self.mutual else {})

    def check(self, field: str) -> None:
        """Raise ConfigurationError unless the files go together and are there."""
        if bool(self.certificate) != bool(self.key) or (self.client_ca and not self.on):
            raise ConfigurationError(
                field, self.certificate or self.key or self.client_ca, "needs both certificate and key"
            )
        for name in ("certificate", "key", "client_ca"):
            path = getattr(self, name)
            if path and not Path(path).is_file():
                raise ConfigurationError(f"{field}.{name}", path, "must be a file")
        if self.key and Path(self.key).stat().st_mode & 0o077:
            raise ConfigurationError(f"{field}.key", self.key, "must be readable by its owner only: chmod 600")


def is_loopback(host: str) -> bool:
    """Whether nothing but this machine reaches that address; a name other than localhost does not say."""
    if host == "localhost":
        return True
    try:
        address = ipaddress.ip_address(host.strip("[]"))
    except ValueError:
        return False
    return (getattr(address, "ipv4_mapped", None) or address).is_loopback


def check_listening(door: str, host: str, tls: bool, mutual: bool) -> None:
    """Raise ConfigurationError for a door that would let strangers listen in, or try the operations door."""
    if is_loopback(host):
        return
    if not tls:
        raise ConfigurationError(f"{door}.host", host, "beyond loopback there must be TLS: set certificate and key")
    if door == "operations" and not mutual:
        raise ConfigurationError(f"{door}.host", host, "beyond loopback clients need certificates: set client_ca")
