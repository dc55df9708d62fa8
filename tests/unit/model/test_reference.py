"""Names of images: what Docker's grammar takes, refuses and shortens."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from linkspan.errors import InvalidInput
from linkspan.model.reference import Reference, is_digest, is_id

HEX = "0123456789abcdef" * 4
DIGEST = f"sha256:{HEX}"


@pytest.mark.parametrize(
    ("text", "full", "short"),
    [
        ("busybox", "docker.io/library/busybox:latest", "busybox:latest"),
        ("busybox:1.36", "docker.io/library/busybox:1.36", "busybox:1.36"),
        ("library/busybox", "docker.io/library/busybox:latest", "busybox:latest"),
        ("docker.io/busybox", "docker.io/library/busybox:latest", "busybox:latest"),
        ("index.docker.io/library/busybox", "docker.io/library/busybox:latest", "busybox:latest"),
        ("team/app", "docker.io/team/app:latest", "team/app:latest"),
        ("docker.io/library/team/app", "docker.io/library/team/app:latest", "library/team/app:latest"),
        ("localhost/app", "localhost/app:latest", "localhost/app:latest"),
        ("localhost:5000/app:2", "localhost:5000/app:2", "localhost:5000/app:2"),
        ("127.0.0.1:5000/team/app", "127.0.0.1:5000/team/app:latest", "127.0.0.1:5000/team/app:latest"),
        ("[::1]:5000/app", "[::1]:5000/app:latest", "[::1]:5000/app:latest"),
        ("registry.example.com/a/b__c-d.e", "registry.example.com/a/b__c-d.e:latest", "registry.example.com/a/b__c-d.e:latest"),
        ("Registry/app", "Registry/app:latest", "Registry/app:latest"),
        (f"busybox@{DIGEST}", f"docker.io/library/busybox@{DIGEST}", f"busybox@{DIGEST}"),
        (f"busybox:1.36@{DIGEST}", f"docker.io/library/busybox@{DIGEST}", f"busybox@{DIGEST}"),
    ],
)
def test_a_name_has_a_full_and_a_short_form(text: str, full: str, short: str) -> None:
    reference = Reference.parse(text).or_latest()

    assert (reference.full, str(reference)) == (full, short)


@pytest.mark.parametrize(
    "text",
    [
        "",
        ":tag",
        "a:",
        "a:b:c",
        "a:-tag",
        "a:" + "t" * 129,
        "a@",
        "a@sha256:123",
        f"a@md5:{HEX}",
        "-a",
        "a//b",
        "/a",
        "a/",
        "a..b",
        "a___b",
        "a b",
        "a\n",
        "a\0",
        "ä",
        "../etc",
        "example.com:port/a",
        "example.com:/a",
        "https://example.com/a",
    ],
)
def test_what_is_no_name_is_refused(text: str) -> None:
    with pytest.raises(InvalidInput, match=r"^invalid reference format$"):
        Reference.parse(text)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("BusyBox", "invalid reference format: repository name (library/BusyBox) must be lowercase"),
        ("localhost:5000/App", "invalid reference format: repository name (App) must be lowercase"),
        (HEX, f"invalid repository name ({HEX}), cannot specify 64-byte hexadecimal strings"),
        ("example.com/" + "a" * 300, "repository name must not be more than 255 characters"),
    ],
)
def test_some_refusals_say_more(text: str, words: str) -> None:
    with pytest.raises(InvalidInput) as refused:
        Reference.parse(text)

    assert str(refused.value) == words


def test_nothing_is_added_unless_asked() -> None:
    assert Reference.parse("busybox").suffix == ""
    assert str(Reference.parse("busybox")) == "busybox"


@given(st.text(max_size=40) | st.from_regex(r"[a-zA-Z0-9._:/@\[\]-]{1,40}", fullmatch=True))
def test_the_short_form_means_the_same_name(text: str) -> None:
    try:
        reference = Reference.parse(text)
    except InvalidInput:
        return
    again = Reference.parse(str(reference))
    assert again.full == reference.full
    assert Reference.parse(reference.full).full == reference.full


def test_ids_are_told_from_names() -> None:
    assert is_id(HEX)
    assert is_id(DIGEST)
    assert is_digest(DIGEST)
    assert not is_digest(HEX)
    assert not is_id(HEX[:12])
    assert not is_id(DIGEST + "\n")
