"""Compiled seccomp filters are handed on to later containers of the same profile."""

import base64
from pathlib import Path
from typing import Any

from linkspan.runtime.filters import Filters

ANNOTATION = "run.oci.seccomp_bpf_data"


def config(profile: dict[str, Any] | None) -> dict[str, Any]:
    return {"linux": {} if profile is None else {"seccomp": profile}}


def compiled(root: Path, container_id: str, data: bytes) -> None:
    (root / container_id).mkdir()
    (root / container_id / "seccomp.bpf").write_bytes(data)


def test_the_second_container_of_a_profile_gets_what_was_compiled_for_the_first(tmp_path: Path) -> None:
    filters, first, second = Filters(tmp_path), config({"defaultAction": "a"}), config({"defaultAction": "a"})
    filters.supply(first)
    assert "annotations" not in first
    compiled(tmp_path, "1", b"program")
    filters.learn(first, "1")
    filters.supply(second)
    assert second["annotations"] == {ANNOTATION: base64.b64encode(b"program").decode()}
    assert second["linux"] == first["linux"]


def test_another_profile_gets_none(tmp_path: Path) -> None:
    filters, other = Filters(tmp_path), config({"defaultAction": "b"})
    compiled(tmp_path, "1", b"program")
    filters.learn(config({"defaultAction": "a"}), "1")
    filters.supply(other)
    assert "annotations" not in other


def test_nothing_is_learned_where_nothing_was_compiled(tmp_path: Path) -> None:
    filters = Filters(tmp_path)
    compiled(tmp_path, "empty", b"")
    for profile, container_id in (({"defaultAction": "a"}, "gone"), ({"defaultAction": "a"}, "empty"), (None, "empty")):
        filters.learn(config(profile), container_id)
        again = config(profile)
        filters.supply(again)
        assert "annotations" not in again


def test_a_profile_with_a_listener_is_compiled_each_time(tmp_path: Path) -> None:
    filters, profile = Filters(tmp_path), {"defaultAction": "a", "listenerPath": "/run/listener"}
    compiled(tmp_path, "1", b"program")
    filters.learn(config(profile), "1")
    again = config(profile)
    filters.supply(again)
    assert "annotations" not in again


def test_only_the_latest_profiles_are_remembered(tmp_path: Path) -> None:
    filters = Filters(tmp_path)
    compiled(tmp_path, "1", b"program")
    for number in range(100):
        filters.learn(config({"defaultAction": str(number)}), "1")
    first, last = config({"defaultAction": "0"}), config({"defaultAction": "99"})
    filters.supply(first)
    filters.supply(last)
    assert ("annotations" in first, "annotations" in last) == (False, True)
