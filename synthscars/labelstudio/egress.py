"""Where Label Studio may send requests by itself: not into this machine or the networks around it.

Managers give it addresses: tasks to import, webhooks, storages, media to export. Its own check of them knows
banned networks and no exceptions. So the list is given to it as a whole: what it bans by default, but for the
one loopback address at which the companion takes webhooks and nothing else.
"""

from __future__ import annotations

from functools import cache
from ipaddress import IPv4Network, IPv6Network, ip_address, ip_network

from synthscars.labelstudio.companion_file import HOOK_HOST

DEFAULT = (
    *("0.0.0.0/8", "10.0.0.0/8", "100.64.0.0/10", "127.0.0.0/8", "169.254.0.0/16", "172.16.0.0/12"),
    *("192.0.0.0/24", "192.0.2.0/24", "192.88.99.0/24", "192.168.0.0/16", "198.18.0.0/15"),
    *("198.51.100.0/24", "203.0.113.0/24", "224.0.0.0/4", "233.252.0.0/24", "240.0.0.0/4"),
    *("255.255.255.255/32", "::/128", "::1/128", "::ffff:0:0/96", "::ffff:0:0:0/96", "64:ff9b::/96"),
    *("64:ff9b:1::/48", "100::/64", "2001:0000::/32", "2001:20::/28", "2001:db8::/32", "2002::/16"),
    *("fc00::/7", "fe80::/10", "ff00::/8"),
)
"""What Label Studio 1.23.2 bans by itself."""

_LOOPBACK = "127.0.0.0/8"


def banned() -> list[str]:
    """The networks that Label Studio must not reach."""
    rest = IPv4Network(_LOOPBACK).address_exclude(IPv4Network(HOOK_HOST))
    return [*(one for one in DEFAULT if one != _LOOPBACK), *map(str, sorted(rest))]


@cache
def _networks() -> tuple[IPv4Network | IPv6Network, ...]:
    return tuple(ip_network(one) for one in banned())


def is_banned(address: str) -> bool:
    """Whether Label Studio must not reach an IP address, IPv6 also with its zone."""
    found = ip_address(address.partition("%")[0])
    return any(found in network for network in _networks())


def variables() -> dict[str, str]:
    """The settings of the server that say so."""
    return {
        "SSRF_PROTECTION_ENABLED": "true",
        "USE_DEFAULT_BANNED_SUBNETS": "false",
        "USER_ADDITIONAL_BANNED_SUBNETS": ",".join(banned()),
        # Models run on this machine, at the same address; the guard refuses others (`guard_models`).
        "ML_BLOCK_LOCAL_IP": "false",
    }
