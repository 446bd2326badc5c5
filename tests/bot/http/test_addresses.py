"""Which addresses may be reached without the operator's leave."""

import ipaddress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bot.http.addresses import SPECIAL_V4, is_public


@pytest.mark.parametrize(
    "address",
    [
        "0.1.2.3", "10.0.0.1", "10.255.255.255", "100.64.0.1", "100.100.100.200", "100.127.255.255", "127.0.0.1",
        "127.255.0.1", "168.63.129.16", "169.254.169.254", "169.254.170.2", "172.16.0.1", "172.31.255.255", "192.0.0.1",
        "192.0.0.9", "192.0.0.192", "192.0.2.1", "192.31.196.1", "192.52.193.1", "192.88.99.1", "192.168.0.1", "192.175.48.1",
        "198.18.0.1", "198.19.255.255", "198.51.100.1", "203.0.113.1", "224.0.0.1", "239.255.255.255", "240.0.0.1",
        "255.255.255.255", ipaddress.IPv4Address(0).exploded,
        "::", "::1", "::7f00:1", "::127.0.0.1", "::ffff:127.0.0.1", "::ffff:10.0.0.1", "::ffff:192.0.0.192", "::ffff:0:7f00:1",
        "64:ff9b::7f00:1", "64:ff9b::c000:c0", "64:ff9b:1::1", "100::1", "100:0:0:1::1", "2001::1", "2001:0:7f00:1::1",
        "2001:2::1", "2001:10::1", "2001:20::1", "2001:db8::1", "2002:7f00:1::", "2002:a00:1::1", "2002:c000:c0::1",
        "2620:4f:8000::1", "3fff::1", "3fff:fff::1", "4000::1", "5f00::1", "fc00::1", "fd00:ec2::254", "fd12:3456::1", "fe80::1",
        "fe80::1%eth0", "fec0::1", "feff::1", "ff02::1", "ff0e::1",
    ],
)  # fmt: skip
def test_special_addresses_are_not_public(address: str) -> None:
    assert not is_public(address)


@pytest.mark.parametrize(
    "address",
    [
        "1.1.1.1", "8.8.8.8", "9.255.255.255", "11.0.0.1", "100.63.255.255", "100.128.0.1", "168.63.129.15", "172.15.255.255",
        "172.32.0.1", "192.0.1.1", "192.0.3.1", "192.167.255.255", "192.169.0.1", "198.17.255.255", "198.20.0.1", "223.255.255.255",
        "93.184.216.34", "::ffff:93.184.216.34", "64:ff9b::5db8:d822", "2001:200::1", "2001:4860:4860::8888", "2002:5db8:d822::1",
        "2606:4700::1111", "2a00:1450::1", "3ffe::1",
    ],
)  # fmt: skip
def test_addresses_of_the_open_internet_are_public(address: str) -> None:
    assert is_public(address)


@pytest.mark.parametrize("text", ["", "example.com", "127.1", "0x7f000001", "1.2.3.4.5"])
def test_what_is_no_address_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="IPv4 or IPv6"):
        is_public(text)


@given(st.ip_addresses(v=4))
def test_an_ipv4_address_is_judged_alike_however_it_is_written(ip: ipaddress.IPv4Address) -> None:
    whole = int(ip)
    carried = [
        f"::ffff:{ip}",
        str(ipaddress.IPv6Address((0x0064FF9B << 96) | whole)),
        str(ipaddress.IPv6Address((0x2002 << 112) | (whole << 80) | 1)),
    ]
    assert {is_public(address) for address in carried} == {is_public(str(ip))}


@given(st.sampled_from(SPECIAL_V4), st.floats(0, 1))
def test_every_address_of_a_special_range_is_special(network: ipaddress.IPv4Network, share: float) -> None:
    assert not is_public(str(network[int(share * (network.num_addresses - 1))]))


@given(st.ip_addresses(v=6))
def test_what_the_standard_library_calls_private_is_not_public(ip: ipaddress.IPv6Address) -> None:
    carries_ipv4 = ip.ipv4_mapped or ip.sixtofour or ip in ipaddress.IPv6Network("64:ff9b::/96")
    if not carries_ipv4 and (
        ip.is_private or ip.is_reserved or ip.is_site_local or ip.is_link_local or ip.is_multicast
    ):
        assert not is_public(str(ip))
