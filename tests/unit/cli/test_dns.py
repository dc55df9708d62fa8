"""`linkspan dns`: what it prints, and its exit status."""

import json

from tests.unit.cli.conftest import Call
from tests.unit.cli.fake_engine import FakeEngine

FOUND = {"Code": "NOERROR", "Truncated": False, "Records": ["web. 600 IN A 172.18.0.2"], "Authority": []}
NONE = {"Code": "NXDOMAIN", "Truncated": False, "Records": [], "Authority": ["example. 60 IN SOA ns.example. root.example. 1 2 3 4 60"]}
QUESTION = {
    "Name": "web",
    "Steps": [
        {"Milliseconds": 0.02, "What": "no such name in the container's networks", "Server": ""},
        {"Milliseconds": 3.5, "What": "asked 10.0.0.1 from the host's namespace by UDP", "Server": "10.0.0.1", "Answer": NONE},
    ],
    "Answer": NONE,
}
TRACE = {
    "Container": "client",
    "Type": "A",
    "NameServers": ["127.0.0.11"],
    "Search": ["example"],
    "Options": ["ndots:0"],
    "Questions": [
        QUESTION,
        {
            "Name": "web.example",
            "Steps": [{"Milliseconds": 0.01, "What": "known by network front", "Server": "", "Answer": FOUND}],
            "Answer": FOUND,
        },
    ],
}


def test_each_step_is_told(engine: FakeEngine, call: Call) -> None:
    engine.on_json("GET /linkspan/dns/trace", TRACE)
    said = call("dns", "trace", "web", "--from", "client", "--type", "a")
    assert said.status == 0
    assert said.out.splitlines() == [
        "client has in its /etc/resolv.conf: name server 127.0.0.11; search example; options ndots:0",
        "client asks for web A",
        "      0.02 ms  no such name in the container's networks",
        "      3.50 ms  asked 10.0.0.1 from the host's namespace by UDP",
        "               NXDOMAIN",
        "               example. 60 IN SOA ns.example. root.example. 1 2 3 4 60",
        "               → NXDOMAIN",
        "client asks for web.example A",
        "      0.01 ms  known by network front",
        "               web. 600 IN A 172.18.0.2",
        "               → NOERROR, 1 record",
    ]
    assert engine.asked[0].query == {"container": "client", "name": "web", "type": "a"}


def test_a_name_that_is_not_found_is_status_1(engine: FakeEngine, call: Call) -> None:
    engine.on_json("GET /linkspan/dns/trace", {**TRACE, "Questions": [QUESTION]})
    said = call("dns", "trace", "web", "--from", "client", "--json")
    assert said.status == 1
    assert json.loads(said.out)["Container"] == "client"
    assert call("dns", "trace", "web", "--from", "client", "--format", "{{.Type}}").out == "A\n"


def test_somebody_must_ask(engine: FakeEngine, call: Call) -> None:
    said = call("dns", "trace", "web")
    assert (said.status, said.err) == (1, "linkspan: say whose question it is: linkspan dns trace NAME --from CONTAINER\n")
    assert not engine.asked


def test_without_a_name_server(engine: FakeEngine, call: Call) -> None:
    engine.on_json("GET /linkspan/dns/status", {"Running": False})
    assert call("dns", "status").out == "No container needs names: no resolver runs.\n"


def test_the_name_servers_figures(engine: FakeEngine, call: Call) -> None:
    engine.on_json("GET /linkspan/dns/status", {"Running": True, "Pid": 7, "Sandboxes": 3, "Answered": 10, "Forwarded": 2, "Cached": 1})
    assert call("dns", "status").out.splitlines() == [
        "Resolver: process 7, 3 containers",
        "Answered: 10 (2 by asking others, 1 answers kept)",
    ]
