"""Which addresses a guest's connection may go to.

Decided by the registries of special-purpose addresses (RFC 6890, as ``ipaddress`` has them), on
the address itself: names were resolved before.
"""

from __future__ import annotations

from ipaddress import IPv4Address, IPv6Address, IPv6Network, ip_network

__all__ = ["is_permitted"]

IPAddress = IPv4Address | IPv6Address

#: Answers the virtual machines of Azure only, with what concerns the machine: a metadata service
#: at a public address (Microsoft, "What is IP address 168.63.129.16?").
_METADATA = frozenset({IPv4Address("168.63.129.16")})
#: NAT64 (RFC 6052 2.1, RFC 8215) and IPv4-compatible addresses (RFC 4291 2.5.5.1): the last four
#: bytes are an IPv4 address.
_EMBEDDING = tuple(IPv6Network(n) for n in ("64:ff9b::/96", "64:ff9b:1::/96", "::/96"))
#: Special too, but ``is_global`` of some supported versions of Python says otherwise: protocol
#: assignments, 6to4 relays, site-local.
_SPECIAL = tuple(ip_network(n) for n in ("192.0.0.0/24", "192.88.99.0/24", "fec0::/10"))
_PRIVATE = tuple(
    ip_network(n)
    for n in ("10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16", "127.0.0.0/8", "fc00::/7", "::1/128")
)


def is_permitted(address: IPAddress, *, private: bool) -> bool:
    """Whether a connection to ``address`` is allowed.

    Never to link-local (where clouds have their metadata), multicast, reserved, unspecified and
    shared addresses; to private networks and loopback if ``private``.
    """
    if isinstance(address, IPv6Address):
        inner = _embedded(address)
        if inner:
            return all(is_permitted(each, private=private) for each in inner)
    if private and any(address in network for network in _PRIVATE):
        return True
    return (
        address.is_global
        and not address.is_multicast
        and not address.is_reserved
        and address not in _METADATA
        and not any(address in network for network in _SPECIAL)
    )


def _embedded(address: IPv6Address) -> list[IPv4Address]:
    """IPv4 addresses that a packet to this one ends at."""
    if address.ipv4_mapped is not None:
        return [address.ipv4_mapped]
    if address.sixtofour is not None:
        return [address.sixtofour]
    if address.teredo is not None:
        return list(address.teredo)
    if any(address in network for network in _EMBEDDING) and int(address) > 1:
        return [IPv4Address(int(address) & 0xFFFFFFFF)]
    return []
