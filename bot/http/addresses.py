"""Which addresses belong to the open internet, by a table of our own.

The standard library's answer differs between versions of Python and counts some ranges as global behind which clouds
keep their metadata services. Sources: IANA's registries of special-purpose addresses, and the clouds' manuals.
"""

from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address

SPECIAL_V4 = tuple(
    IPv4Network(network)
    for network in (
        "0.0.0.0/8",  # this network
        "10.0.0.0/8",  # private
        "100.64.0.0/10",  # shared by carriers; a cloud's metadata service at 100.100.100.200
        "127.0.0.0/8",  # loopback
        "168.63.129.16/32",  # a cloud's host agent, at an address that looks public
        "169.254.0.0/16",  # link-local; most clouds' metadata services
        "172.16.0.0/12",  # private
        "192.0.0.0/24",  # protocol assignments; a cloud's metadata service at 192.0.0.192
        "192.0.2.0/24",  # documentation
        "192.31.196.0/24",  # AS112
        "192.52.193.0/24",  # automatic multicast tunnelling
        "192.88.99.0/24",  # 6to4 relays
        "192.168.0.0/16",  # private
        "192.175.48.0/24",  # AS112
        "198.18.0.0/15",  # benchmarks
        "198.51.100.0/24",  # documentation
        "203.0.113.0/24",  # documentation
        "224.0.0.0/4",  # multicast
        "240.0.0.0/4",  # reserved, and the broadcast address
    )
)
GLOBAL_V6 = IPv6Network("2000::/3")
"""All that is given out as global unicast addresses. What lies outside is special, today's and tomorrow's."""

SPECIAL_V6 = tuple(
    IPv6Network(network)
    for network in (
        "2001::/23",  # protocol assignments, Teredo and ORCHID among them
        "2001:db8::/32",  # documentation
        "2620:4f:8000::/48",  # AS112
        "3fff::/20",  # documentation
    )
)
NAT64 = IPv6Network("64:ff9b::/96")


def is_public(address: str) -> bool:
    """Return whether an IP address belongs to the open internet; IPv4 inside IPv6 is judged by the IPv4.

    A zone after `%` is left aside. Raises ValueError for what is no IP address.
    """
    ip = ip_address(address.partition("%")[0])
    inner = ip if isinstance(ip, IPv4Address) else _inner(ip)
    if inner is not None:
        return not any(inner in network for network in SPECIAL_V4)
    return ip in GLOBAL_V6 and not any(ip in network for network in SPECIAL_V6)


def _inner(ip: IPv6Address) -> IPv4Address | None:
    """Return the IPv4 address to which packets for an IPv6 one are carried in the end."""
    if ip in NAT64:
        return IPv4Address(ip.packed[-4:])
    return ip.ipv4_mapped or ip.sixtofour
