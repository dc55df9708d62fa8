"""What the API tells of names."""

import json

from dnslib import RR, DNSRecord

from linkspan.api import wire_dns
from linkspan.engine.tracing import Asked, NameTrace, Step
from linkspan.plan.files import Resolver

QUESTION = DNSRecord.question("web")
ANSWER = QUESTION.reply()
ANSWER.add_answer(*RR.fromZone("web. 600 IN A 172.18.0.2"))


def _trace(*messages: bytes) -> NameTrace:
    steps = tuple(Step(milliseconds=1.5, what="asked", server="10.0.0.1", message=message) for message in messages)
    asked = Asked(name="web", steps=steps, answer=ANSWER.pack())
    return NameTrace(container="client", kind="A", configured=Resolver(servers=("127.0.0.11",), search=("example",)), asked=(asked,))


def test_answers_are_told_as_text() -> None:
    told = wire_dns.trace(_trace(ANSWER.pack(), b""))
    assert json.loads(json.dumps(told))["Questions"] == [
        {
            "Name": "web",
            "Steps": [
                {
                    "Milliseconds": 1.5,
                    "What": "asked",
                    "Server": "10.0.0.1",
                    "Answer": {"Code": "NOERROR", "Truncated": False, "Records": ["web. 600 IN A 172.18.0.2"], "Authority": []},
                },
                {"Milliseconds": 1.5, "What": "asked", "Server": "10.0.0.1"},
            ],
            "Answer": {"Code": "NOERROR", "Truncated": False, "Records": ["web. 600 IN A 172.18.0.2"], "Authority": []},
        }
    ]


def test_an_answer_that_cannot_be_read_is_told_so() -> None:
    for message in (b"\0", ANSWER.pack()[:-3], b"\0\1\x81\x80\0\1\xff\xff\0\0\0\0" + b"\xc0\x0c" * 20, bytes(range(200))):
        told = json.dumps(wire_dns.trace(_trace(message)))
        assert "cannot be read" in told or "Records" in told


def test_without_a_resolver_there_are_no_figures() -> None:
    assert wire_dns.status({}) == {"Running": False}
    told = wire_dns.status({"pid": 7, "sandboxes": 2, "answered": 5, "asked": 1, "kept": 1, "kept_bytes": 400, "under_way": {}, "tasks": 3})
    assert (told["Running"], told["Pid"], told["Sandboxes"], told["Forwarded"]) == (True, 7, 2, 1)
