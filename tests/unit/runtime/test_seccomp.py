"""The default seccomp profile, and how a profile is cut to one container on one host."""

import json
from typing import Any

import pytest

from linkspan.errors import InvalidInput
from linkspan.model.container import Security
from linkspan.runtime import seccomp
from linkspan.runtime.capabilities import CAPABILITIES, DEFAULT, granted
from linkspan.runtime.host import Host
from linkspan.runtime.spec import seccomp_profile


def host(machine: str = "x86_64", kernel: tuple[int, int] = (6, 1)) -> Host:
    return Host(cgroup2=True, swap_limit=True, capabilities=frozenset(CAPABILITIES), machine=machine, kernel=kernel)


def allowed(profile: dict[str, Any], *, arguments: bool = True) -> set[str]:
    rules = [rule for rule in profile["syscalls"] if rule["action"] == "SCMP_ACT_ALLOW" and (arguments or "args" not in rule)]
    return {name for rule in rules for name in rule["names"]}


def render(*capabilities: str, machine: str = "x86_64", kernel: tuple[int, int] = (6, 1)) -> dict[str, Any]:
    return seccomp.render_profile(seccomp.default_profile(), capabilities, host(machine, kernel))


def test_the_default_refuses_what_is_not_listed() -> None:
    profile = render(*DEFAULT)
    assert profile["defaultAction"] == "SCMP_ACT_ERRNO"
    assert profile["defaultErrnoRet"] == 1
    assert profile["architectures"] == ["SCMP_ARCH_X86_64", "SCMP_ARCH_X86", "SCMP_ARCH_X32"]
    assert {"read", "execve", "futex", "chroot", "arch_prctl", "ptrace"} <= allowed(profile)
    dangerous = {"mount", "kexec_load", "add_key", "keyctl", "bpf", "init_module", "io_uring_setup", "userfaultfd", "reboot", "setns"}
    assert not dangerous & allowed(profile)


def test_new_namespaces_are_refused_by_the_arguments_of_clone() -> None:
    profile = render(*DEFAULT)
    [clone] = [rule for rule in profile["syscalls"] if rule["names"] == ["clone"]]
    assert clone["args"] == [{"index": 0, "value": 0x7E020000, "op": "SCMP_CMP_MASKED_EQ"}]
    [clone3] = [rule for rule in profile["syscalls"] if rule["names"] == ["clone3"]]
    assert (clone3["action"], clone3["errnoRet"]) == ("SCMP_ACT_ERRNO", 38)


@pytest.mark.parametrize(
    ("capability", "syscall"),
    [
        ("CAP_SYS_ADMIN", "mount"),
        ("CAP_SYS_ADMIN", "clone3"),
        ("CAP_SYS_BOOT", "reboot"),
        ("CAP_SYS_MODULE", "init_module"),
        ("CAP_SYS_CHROOT", "chroot"),
        ("CAP_SYS_TIME", "settimeofday"),
        ("CAP_SYS_PTRACE", "kcmp"),
        ("CAP_BPF", "bpf"),
        ("CAP_SYSLOG", "syslog"),
    ],
)
def test_a_capability_opens_its_calls(capability: str, syscall: str) -> None:
    assert syscall not in allowed(render(), arguments=False)
    assert syscall in allowed(render(capability), arguments=False)


def test_architectures_have_calls_of_their_own() -> None:
    assert render(machine="aarch64")["architectures"] == ["SCMP_ARCH_AARCH64", "SCMP_ARCH_ARM"]
    assert "arch_prctl" not in allowed(render(machine="aarch64"))
    assert "set_tls" in allowed(render(machine="aarch64"))
    [clone] = [rule for rule in render(machine="s390x")["syscalls"] if rule["names"] == ["clone"]]
    assert clone["args"][0]["index"] == 1
    assert render(machine="unheard-of")["architectures"] == []


def test_an_old_kernel_lets_nobody_trace() -> None:
    assert "ptrace" not in allowed(render(kernel=(4, 7)))
    assert "ptrace" in allowed(render(kernel=(4, 8)))


def test_nothing_but_the_runtime_specs_own_keys_is_passed_on() -> None:
    profile = render(*DEFAULT)
    assert set(profile) == {"defaultAction", "defaultErrnoRet", "architectures", "syscalls"}
    assert {key for rule in profile["syscalls"] for key in rule} == {"names", "action", "args", "errnoRet"}


def test_a_users_profile() -> None:
    given = {
        "defaultAction": "SCMP_ACT_ALLOW",
        "architectures": ["SCMP_ARCH_X86_64"],
        "syscalls": [{"name": "chmod", "action": "SCMP_ACT_ERRNO", "args": []}],
    }
    profile = seccomp_profile(Security(options=(f"seccomp={json.dumps(given)}",)))
    assert profile is not None
    assert seccomp.render_profile(profile, (), host()) == {
        "defaultAction": "SCMP_ACT_ALLOW",
        "architectures": ["SCMP_ARCH_X86_64"],
        "syscalls": [{"names": ["chmod"], "action": "SCMP_ACT_ERRNO", "args": []}],
    }


def test_two_lists_of_architectures_are_one_too_many() -> None:
    with pytest.raises(InvalidInput, match="both 'architectures' and 'archMap'"):
        seccomp.parse_profile('{"defaultAction": "x", "architectures": ["a"], "archMap": [{"architecture": "a"}]}')


@pytest.mark.parametrize(
    ("security", "default"),
    [
        (Security(), True),
        (Security(options=("seccomp=builtin",)), True),
        (Security(options=("seccomp=unconfined",)), False),
        (Security(privileged=True), False),
        (Security(privileged=True, options=("seccomp=builtin",)), True),
    ],
)
def test_which_profile_a_container_gets(security: Security, *, default: bool) -> None:
    assert seccomp_profile(security) == (seccomp.default_profile() if default else None)


def test_the_default_rights_can_start_a_shell() -> None:
    names = granted(Security(), frozenset(CAPABILITIES))
    assert {"clone", "vfork", "execve", "wait4", "setuid", "socket"} <= allowed(render(*names))
