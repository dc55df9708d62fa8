"""The container's /etc/hosts and /etc/resolv.conf (semantics: Docker's sandbox files)."""

import pytest

from linkspan.plan.files import PUBLIC_SERVERS, Resolver, embedded_text, full_name, hosts_text, hosts_with, with_block

HOST = """\
# the host's
nameserver 192.0.2.53 ; the office's
nameserver 127.0.0.53
nameserver fe80::1%eth0
domain ignored.example
search corp.example lab.example
options ndots:2 edns0
options timeout:1
"""


def test_a_resolv_conf_is_read_as_libc_reads_it() -> None:
    assert Resolver.parse(HOST) == Resolver(
        servers=("192.0.2.53", "127.0.0.53", "fe80::1%eth0"),
        search=("corp.example", "lab.example"),
        options=("ndots:2", "edns0", "timeout:1"),
    )


def test_a_container_gets_only_servers_that_it_can_reach() -> None:
    assert Resolver.parse(HOST).reachable_from_container().servers == ("192.0.2.53",)
    assert Resolver(servers=("127.0.0.1",)).reachable_from_container().servers == PUBLIC_SERVERS


@pytest.mark.parametrize(
    ("search", "expected"),
    [((), ("corp.example", "lab.example")), (("x.example",), ("x.example",)), ((".",), ())],
)
def test_given_lists_replace_the_hosts(search: tuple[str, ...], expected: tuple[str, ...]) -> None:
    resolver = Resolver.parse(HOST).overridden(("198.51.100.1",), search, ("ndots:5",))
    assert resolver == Resolver(servers=("198.51.100.1",), search=expected, options=("ndots:5",))


def test_what_is_rendered_reads_back() -> None:
    resolver = Resolver(servers=("192.0.2.1", "192.0.2.2"), search=("a.example",), options=("ndots:0",))
    assert Resolver.parse(resolver.text()) == resolver


def test_hosts_come_in_dockers_order() -> None:
    assert hosts_text(extra=[("192.0.2.9", "db")], own=[("172.17.0.2", full_name("web", "corp.example"))]) == (
        "127.0.0.1\tlocalhost\n192.0.2.9\tdb\n172.17.0.2\tweb.corp.example web\n"
    )


def test_ipv6_names_are_there_only_with_ipv6() -> None:
    assert "::1\tlocalhost ip6-localhost ip6-loopback\n" in hosts_text(ipv6=True)
    assert "::1" not in hosts_text()


@pytest.mark.parametrize(
    ("asked", "server", "lines"),
    [
        (
            Resolver(),
            "host(192.0.2.53) host(127.0.0.53) host(fe80::1%eth0)",
            ["search corp.example lab.example", "options ndots:2 edns0 timeout:1", "# Overrides: []", "# Option ndots from: host"],
        ),
        (
            Resolver(servers=("198.51.100.1",), search=(".",), options=("edns0",)),
            "198.51.100.1",
            ["options edns0 ndots:0", "# Overrides: [nameservers search options]", "# Option ndots from: internal"],
        ),
        (
            Resolver(search=("x.example",), options=("ndots:5",)),
            "host(192.0.2.53) host(127.0.0.53) host(fe80::1%eth0)",
            ["search x.example", "options ndots:5", "# Overrides: [search options]", "# Option ndots from: override"],
        ),
    ],
)
def test_where_names_are_served_the_servers_are_in_a_comment(asked: Resolver, server: str, lines: list[str]) -> None:
    text = embedded_text(Resolver.parse(HOST), asked, source="/etc/resolv.conf")
    assert Resolver.parse(text).servers == ("127.0.0.11",)
    assert f"# ExtServers: [{server}]" in text.splitlines()
    assert "# Based on host file: '/etc/resolv.conf' (internal resolver)" in text.splitlines()
    shown = [line for line in text.splitlines() if line.startswith(("search", "options", "# Overrides", "# Option"))]
    assert shown == lines


def test_our_lines_in_the_hosts_file_of_the_host_disturb_no_others() -> None:
    own = "127.0.0.1\tlocalhost\n192.0.2.1 x"  # without a last line break
    first = with_block(own, [("172.18.0.2", "web.front web")])
    assert first.startswith("127.0.0.1\tlocalhost\n192.0.2.1 x\n# linkspan:")
    assert "172.18.0.2\tweb.front web\n# linkspan: end\n" in first
    edited = first + "192.0.2.2 y\n"
    second = with_block(edited, [("172.18.0.3", "db.front db")])
    assert "web" not in second
    assert second.startswith("127.0.0.1\tlocalhost\n192.0.2.1 x\n192.0.2.2 y\n# linkspan:")
    assert with_block(second, []) == "127.0.0.1\tlocalhost\n192.0.2.1 x\n192.0.2.2 y\n"
    assert with_block("", []) == ""
    assert with_block("a\n# linkspan: containers, written anew with each change; --hosts-file\ncut off", []) == "a\n"


def test_rows_come_and_go_and_what_the_container_wrote_stays() -> None:
    text = "127.0.0.1\tlocalhost\n# mine\n10.9.9.9 other\n10.1.0.2\tbox\n"
    changed = hosts_with(text, remove=[("10.1.0.2", "box")], add=[("10.2.0.2", "box")])
    assert changed == "127.0.0.1\tlocalhost\n# mine\n10.9.9.9 other\n10.2.0.2\tbox\n"
    assert hosts_with(changed, add=[("10.2.0.2", "box")]) == changed
    assert hosts_with("10.1.0.2   box  # moved\n", remove=[("10.1.0.2", "box")]) == ""
