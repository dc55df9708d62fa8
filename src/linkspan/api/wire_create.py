"""POST /containers/create: Docker's Config, HostConfig and NetworkingConfig become one request, or a refusal in Docker's words."""

import json
import re
from dataclasses import replace

from linkspan.api.fields import Fields
from linkspan.api.versions import Version
from linkspan.api.wire_limits import parse_resources
from linkspan.api.wire_mounts import parse_mounts
from linkspan.api.wire_network_config import parse_network_config
from linkspan.engine.requests import CreateRequest
from linkspan.errors import InvalidInput, Unsupported
from linkspan.model.container import NetworkConfig, RestartPolicy, Security, security_option
from linkspan.model.signals import signal_number

EMPTY = "config cannot be empty in order to create a container"
HOSTNAME_LIMIT = 64
"""Bytes: the kernel's."""

_HOSTNAME = re.compile(r"[^\s\x00-\x1f\x7f/]*")
_RUNTIMES = ("", "runc", "crun", "io.containerd.runc.v2")
_LOG_DRIVERS = ("", "json-file", "k8s-file")
_POLICIES = ("no", "always", "on-failure", "unless-stopped")
_SECURITY_FLAGS = ("no-new-privileges", "disable")
"""Security options that need no value."""
_SECURITY_KEYS = ("anti-spoofing", "apparmor", "label", "seccomp", "systempaths")
_NO_EFFECT = (
    "BlkioWeight", "BlkioWeightDevice", "BlkioDeviceReadBps", "BlkioDeviceReadIOps", "BlkioDeviceWriteBps", "BlkioDeviceWriteIOps",
    "CgroupParent", "CpuRealtimePeriod", "CpuRealtimeRuntime", "KernelMemory", "KernelMemoryTCP", "MaskedPaths", "ReadonlyPaths",
    "StorageOpt", "VolumeDriver",
)  # fmt: skip
"""Fields of HostConfig that are accepted with a warning."""


def parse_create(body: Fields, *, name: str, version: Version, cpus: int) -> CreateRequest:
    """Parse the body; `cpus` is the number of this machine's. Raises InvalidInput, Unsupported."""
    if not body.names() - {"hostconfig", "networkingconfig"}:
        raise InvalidInput(EMPTY)
    host = body.child("HostConfig")
    network, attachments, network_warnings = parse_network_config(body, version)
    _check(body, host)
    restart = parse_restart(host.child("RestartPolicy"))
    if host.boolean("AutoRemove") and restart.name != "no":
        raise InvalidInput("can't create 'AutoRemove' container with restart policy")
    mounts, binds = parse_mounts(body)
    resources, resource_warnings = parse_resources(host, cpus)
    return replace(
        _process(body, network),
        name=name or None,
        attachments=attachments,
        links=tuple(_link(text) for text in host.texts("Links")),
        mounts=mounts,
        binds=binds,
        resources=resources,
        security=_security(host),
        shm_size=_shm_size(host),
        init=host.optional_boolean("Init"),
        auto_remove=host.boolean("AutoRemove"),
        restart=restart,
        warnings=(*network_warnings, *resource_warnings, *_warnings(body, host)),
    )


def _process(body: Fields, network: NetworkConfig) -> CreateRequest:
    """Parse Config: what runs, and under which name."""
    return CreateRequest(
        image=body.text("Image"),
        network=network,
        cmd=body.command("Cmd"),
        entrypoint=body.command("Entrypoint"),
        env=body.texts("Env"),
        working_dir=body.text("WorkingDir"),
        user=body.text("User"),
        tty=body.boolean("Tty"),
        open_stdin=body.boolean("OpenStdin"),
        stdin_once=body.boolean("StdinOnce"),
        attach_stdin=body.boolean("AttachStdin"),
        attach_stdout=body.boolean("AttachStdout"),
        attach_stderr=body.boolean("AttachStderr"),
        hostname=_host_name(body.text("Hostname")),
        domainname=_host_name(body.text("Domainname")),
        labels=body.mapping("Labels"),
        stop_signal=body.text("StopSignal"),
        stop_timeout=body.optional_integer("StopTimeout"),
    )


def parse_restart(policy: Fields) -> RestartPolicy:
    """Parse a RestartPolicy; raises InvalidInput in Docker's words."""
    name, retries = policy.text("Name") or "no", policy.integer("MaximumRetryCount")
    if name not in _POLICIES:
        choice = "use one of 'no', 'always', 'on-failure', or 'unless-stopped'"
        raise InvalidInput(f"invalid restart policy: unknown policy '{name}'; {choice}")
    if name in ("always", "unless-stopped") and retries:
        raise InvalidInput(f"maximum retry count cannot be used with restart policy '{name}'")
    if retries < 0:
        raise InvalidInput("maximum retry count cannot be negative")
    return RestartPolicy(name=name, retries=retries if name == "on-failure" else 0)


def _check(body: Fields, host: Fields) -> None:
    """Refuse values that no other part looks at."""
    if not body.text("Image"):
        raise InvalidInput("no image specified: Image is empty")
    check_environment(body)
    if body.text("StopSignal"):
        signal_number(body.text("StopSignal"))
    if body.boolean("NetworkDisabled"):
        raise Unsupported("NetworkDisabled is not supported: use network mode none")
    driver, runtime, isolation = host.child("LogConfig").text("Type"), host.text("Runtime"), host.text("Isolation")
    if driver not in _LOG_DRIVERS:
        raise InvalidInput(f"logger: no log driver named '{driver}' is registered")
    if runtime not in _RUNTIMES:
        raise InvalidInput(f"unknown or invalid runtime name: {runtime}")
    if isolation not in ("", "default"):
        raise InvalidInput(f'invalid isolation "{isolation}" on linux')


def check_environment(body: Fields) -> None:
    """Raise InvalidInput for an entry of `Env` without a name."""
    for entry in body.texts("Env"):
        if not entry.partition("=")[0]:
            raise InvalidInput(f"invalid environment variable: {entry}")


def _host_name(text: str) -> str:
    if len(text.encode()) > HOSTNAME_LIMIT:
        raise InvalidInput(f"hostname {json.dumps(text, ensure_ascii=False)} is too long (maximum {HOSTNAME_LIMIT} bytes)")
    if not _HOSTNAME.fullmatch(text):
        raise InvalidInput(f"invalid hostname format: {json.dumps(text, ensure_ascii=False)}")
    return text


def _link(text: str) -> str:
    name, _, alias = text.partition(":")
    if not text:
        raise InvalidInput("empty string specified for links")
    if not name or ":" in alias or not _HOSTNAME.fullmatch(alias.removeprefix("/")):
        raise InvalidInput(f"bad format for links: {text}")
    return text


def _shm_size(host: Fields) -> int:
    size = host.integer("ShmSize")
    if size < 0:
        raise InvalidInput("SHM size can not be less than 0")
    return size


def _security(host: Fields) -> Security:
    return Security(
        privileged=host.boolean("Privileged"),
        cap_add=host.command("CapAdd") or (),
        cap_drop=host.command("CapDrop") or (),
        options=tuple(map(_security_option, host.texts("SecurityOpt"))),
        group_add=host.texts("GroupAdd"),
        read_only_root=host.boolean("ReadonlyRootfs"),
        ipc_mode=_mode(host, "IpcMode", ("private", "shareable", "none", "host")),
        pid_mode=_mode(host, "PidMode", ("host",)),
        uts_mode=_mode(host, "UTSMode", ("host",)),
        userns_mode=_mode(host, "UsernsMode", ("host",)),
        cgroupns_mode=_mode(host, "CgroupnsMode", ("private", "host")),
    )


def _security_option(text: str) -> str:
    key, value = security_option(text)
    if not value and key not in _SECURITY_FLAGS:
        raise InvalidInput(f"invalid --security-opt 1: {json.dumps(text, ensure_ascii=False)}")
    if key not in (*_SECURITY_KEYS, *_SECURITY_FLAGS):
        raise InvalidInput(f"invalid --security-opt 2: {json.dumps(text, ensure_ascii=False)}")
    return text


def _mode(host: Fields, field: str, known: tuple[str, ...]) -> str:
    text = host.text(field)
    if text.startswith("container:"):
        raise Unsupported(f"{field} {text} is not supported: only the network of another container can be joined")
    if text and text not in known:
        raise InvalidInput(f"invalid {field}: {text}")
    return text


def _warnings(body: Fields, host: Fields) -> list[str]:
    warnings = [f"{field} has no effect: linkspan has no such part" for field in _NO_EFFECT if host.has(field)]
    test = body.child("Healthcheck").texts("Test")
    if test and test[0] != "NONE":
        warnings.append("Healthcheck has no effect: linkspan does not run health checks")
    if host.integer("MemorySwappiness", -1) != -1:
        warnings.append("MemorySwappiness has no effect: linkspan has no such part")
    if host.child("LogConfig").has("Config"):
        warnings.append("Log options have no effect: linkspan has none")
    return warnings
