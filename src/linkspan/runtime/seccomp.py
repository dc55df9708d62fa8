"""Seccomp profiles in moby's format, rendered to the runtime-spec's for one container (moby: profiles/seccomp)."""

import functools
import importlib.resources
import json
from collections.abc import Iterator, Mapping
from typing import Any

from linkspan import strict_json
from linkspan.errors import InvalidInput
from linkspan.runtime.host import Host

Json = dict[str, Any]
"""A JSON object of a foreign format, read or written here and passed on unchanged."""

_GO_NAMES = {"x86_64": "amd64", "aarch64": "arm64", "armv7l": "arm", "i686": "x86"}
"""uname(1)'s names of architectures to the profile's, which are Go's."""
_LIBSECCOMP_NAMES = {"amd64": "X86_64", "arm64": "AARCH64", "x86": "X86"}
_PASSED_ON = ("defaultAction", "defaultErrnoRet", "flags", "listenerPath", "listenerMetadata")


def default_profile() -> Json:
    """Return Docker's default profile: what a container of default rights needs, and nothing that the kernel should not be asked."""
    return dict(_packaged())


@functools.cache
def _packaged() -> Json:
    text = importlib.resources.files("linkspan.runtime").joinpath("seccomp.json").read_text()
    return _object(json.loads(text))


def parse_profile(text: str) -> Json:
    """Read a profile that a user gave (the client sends the file's content). Raises InvalidInput."""
    try:
        profile = _object(strict_json.parse(text))
    except ValueError as error:
        raise InvalidInput(f"decoding seccomp profile failed: {error}") from error
    if "defaultAction" not in profile:
        raise InvalidInput("decoding seccomp profile failed: defaultAction is missing")
    if profile.get("architectures") and profile.get("archMap"):
        raise InvalidInput(
            "both 'architectures' and 'archMap' are specified in the seccomp profile, use either 'architectures' or 'archMap'"
        )
    return profile


def render_profile(profile: Json, capabilities: tuple[str, ...], host: Host) -> Json:
    """Choose the rules that apply to a container with these capabilities on this host, in the runtime-spec's form.

    Raises InvalidInput if the profile is not of moby's format.
    """
    try:
        rules = [_rule(entry) for entry in profile.get("syscalls") or () if _applies(entry, capabilities, host)]
        shape = {key: profile[key] for key in _PASSED_ON if key in profile}
        return {**shape, "architectures": _architectures(profile, host), "syscalls": rules}
    except (AttributeError, TypeError, KeyError, ValueError) as error:
        raise InvalidInput("decoding seccomp profile failed: unexpected form: it is not moby's") from error


def _applies(entry: Mapping[str, Any], capabilities: tuple[str, ...], host: Host) -> bool:
    includes, excludes = entry.get("includes") or {}, entry.get("excludes") or {}
    return all(_conditions(includes, capabilities, host, every=True)) and not any(_conditions(excludes, capabilities, host, every=False))


def _conditions(clause: Mapping[str, Any], capabilities: tuple[str, ...], host: Host, *, every: bool) -> Iterator[bool]:
    """Yield what holds of an `includes` (every capability is needed) or an `excludes` (one is enough)."""
    if architectures := clause.get("arches"):
        yield _go_name(host) in architectures
    if wanted := clause.get("caps"):
        yield all(name in capabilities for name in wanted) if every else any(name in capabilities for name in wanted)
    if least := clause.get("minKernel"):
        major, minor = (int(part) for part in least.split("."))
        yield host.kernel >= (major, minor)


def _rule(entry: Mapping[str, Any]) -> Json:
    names = list(entry.get("names") or ())
    if entry.get("name"):
        names.append(entry["name"])
    rule: Json = {"names": names, "action": entry["action"]}
    for key in ("errnoRet", "args"):
        if entry.get(key) is not None:
            rule[key] = entry[key]
    return rule


def _architectures(profile: Mapping[str, Any], host: Host) -> list[str]:
    if given := profile.get("architectures"):
        return list(given)
    name = _go_name(host)
    native = f"SCMP_ARCH_{_LIBSECCOMP_NAMES.get(name, name.upper())}"
    for entry in profile.get("archMap") or ():
        if entry["architecture"] == native:
            return [native, *(entry.get("subArchitectures") or ())]
    return []


def _go_name(host: Host) -> str:
    return _GO_NAMES.get(host.machine, host.machine)


def _object(value: object) -> Json:
    if not isinstance(value, dict):
        raise ValueError("not a JSON object")  # noqa: TRY004  it is translated with json's own ValueError
    return value
