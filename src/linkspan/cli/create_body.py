"""The body of POST /containers/create out of the flags of `run` and `create`.

Only what was asked for is sent: an absent field and Docker's zero value mean the same to the engine. Every function here raises
CommandError in Docker's words.
"""

import json
from collections.abc import Iterable
from pathlib import Path

from linkspan.cli import create_network, ports
from linkspan.cli.client import JsonObject
from linkspan.cli.containers import restart_policy
from linkspan.cli.failures import CommandError
from linkspan.cli.options import Given
from linkspan.environment import environment, is_set


def create_body(given: Given, image: str, arguments: list[str]) -> JsonObject:
    """Return the request for a container of `image` that runs `arguments`."""
    if given.switch("rm") and given.text("restart") not in ("", "no"):
        raise CommandError("conflicting options: cannot specify both --restart and --rm")
    bindings = _bindings(given)
    exposed = [port for spec in given.many("expose") for port in _exposed(spec)] + [binding.port for binding in bindings]
    return {
        **_present({**_process(given, image, arguments), "ExposedPorts": {port: {} for port in exposed}}),
        "HostConfig": _present({**_host_config(given), "PortBindings": ports.bindings_by_port(bindings)}),
        "NetworkingConfig": {"EndpointsConfig": create_network.endpoints(given)},
    }


def _process(given: Given, image: str, arguments: list[str]) -> JsonObject:
    attached = given.many("attach") or ["stdout", "stderr"]
    stdin = given.switch("interactive")
    healthcheck = {"Test": ["NONE"]} if given.switch("no-healthcheck") else None
    return {
        "AttachStderr": "stderr" in attached,
        "AttachStdin": stdin or "stdin" in attached,
        "AttachStdout": "stdout" in attached,
        "Cmd": arguments,
        "Domainname": given.text("domainname"),
        "Entrypoint": [given.text("entrypoint")] if given.has("entrypoint") else None,
        "Env": environment_entries(given),
        "Healthcheck": healthcheck,
        "Hostname": given.text("hostname"),
        "Image": image,
        "Labels": _pairs([*_lines_of(given.many("label-file"), "label"), *given.many("label")]),
        "OpenStdin": stdin,
        "StdinOnce": stdin,
        "StopSignal": given.text("stop-signal"),
        "StopTimeout": given.number("stop-timeout") if given.has("stop-timeout") else None,
        "Tty": given.switch("tty"),
        "User": given.text("user"),
        "Volumes": {volume: {} for volume in given.many("volume") if ":" not in volume},
        "WorkingDir": given.text("workdir"),
    }


def _host_config(given: Given) -> JsonObject:
    log = {"Type": given.text("log-driver"), "Config": _pairs(given.many("log-opt"))}
    return {
        **_limits(given),
        **_rights(given),
        "AutoRemove": given.switch("rm"),
        "Binds": [_bind(volume) for volume in given.many("volume") if _not_empty(volume) and ":" in volume],
        "ContainerIDFile": given.text("cidfile"),
        "Dns": given.many("dns"),
        "DnsOptions": given.many("dns-option"),
        "DnsSearch": given.many("dns-search"),
        "ExtraHosts": given.many("add-host"),
        "Init": given.switch("init") if given.has("init") else None,
        "Links": given.many("link"),
        "LogConfig": log if any(log.values()) else None,
        "Mounts": given.many("mount"),
        "NetworkMode": create_network.network_mode(given),
        "PublishAllPorts": given.switch("publish-all"),
        "ReadonlyRootfs": given.switch("read-only"),
        "RestartPolicy": restart_policy(given.text("restart")),
        "Runtime": given.text("runtime"),
        "ShmSize": given.number("shm-size"),
        "Sysctls": _pairs(given.many("sysctl")),
        "Tmpfs": dict(spec.partition(":")[::2] for spec in given.many("tmpfs")),
        "VolumesFrom": given.many("volumes-from"),
    }


def _limits(given: Given) -> JsonObject:
    return {
        "CpuPeriod": given.number("cpu-period"),
        "CpuQuota": given.number("cpu-quota"),
        "CpuShares": given.number("cpu-shares"),
        "CpusetCpus": given.text("cpuset-cpus"),
        "CpusetMems": given.text("cpuset-mems"),
        "Devices": [_device(spec) for spec in given.many("device")],
        "Memory": given.number("memory"),
        "MemoryReservation": given.number("memory-reservation"),
        "MemorySwap": given.number("memory-swap"),
        "NanoCpus": given.number("cpus"),
        "OomKillDisable": given.switch("oom-kill-disable"),
        "OomScoreAdj": given.number("oom-score-adj"),
        "PidsLimit": given.number("pids-limit"),
        "Ulimits": given.many("ulimit"),
    }


def _rights(given: Given) -> JsonObject:
    security = [_security_option(option) for option in given.many("security-opt")]
    bare = "systempaths=unconfined" in security
    return {
        "CapAdd": [_capability(name) for name in given.many("cap-add")],
        "CapDrop": [_capability(name) for name in given.many("cap-drop")],
        "CgroupnsMode": _mode(given, "cgroupns", "CGROUP", ("host", "private")),
        "GroupAdd": given.many("group-add"),
        "IpcMode": given.text("ipc"),
        "PidMode": _mode(given, "pid", "PID", ("host",), joinable=True),
        "Privileged": given.switch("privileged"),
        "SecurityOpt": [option for option in security if option != "systempaths=unconfined"],
        "UTSMode": _mode(given, "uts", "UTS", ("host",)),
        "UsernsMode": _mode(given, "userns", "USER", ("host",)),
        "MaskedPaths": [] if bare else None,
        "ReadonlyPaths": [] if bare else None,
    }


_POINTERS = frozenset(("Init", "StopTimeout", "MaskedPaths", "ReadonlyPaths"))
"""Fields whose zero value was asked for if it is there: None stands for absent."""


def _present(values: JsonObject) -> JsonObject:
    return {key: value for key, value in values.items() if (value is not None if key in _POINTERS else bool(value))}


def _bindings(given: Given) -> list[ports.Binding]:
    try:
        return [binding for spec in given.many("publish") for binding in ports.parse_publish(spec)]
    except ValueError as error:
        raise CommandError(str(error)) from error


def _exposed(spec: str) -> list[str]:
    try:
        return ports.parse_expose(spec)
    except ValueError as error:
        raise CommandError(str(error)) from error


def _not_empty(volume: str) -> bool:
    if not volume:
        raise CommandError("invalid empty volume spec")
    return True


def _bind(volume: str) -> str:
    """Make a source that begins with a dot absolute: the engine does not know where the user stands."""
    source, _, rest = volume.partition(":")
    return f"{Path(source).resolve()}:{rest}" if source.startswith(".") else volume


def _device(spec: str) -> JsonObject:
    parts = spec.split(":")
    if len(parts) > 3:
        raise CommandError(f"bad format for path: {spec}")
    host = parts[0]
    inside, mode = host, "rwm"
    if len(parts) == 3:
        inside, mode = parts[1:]
    elif len(parts) == 2:
        inside, mode = (host, parts[1]) if _is_device_mode(parts[1]) else (parts[1], "rwm")
    if not _is_device_mode(mode):
        raise CommandError(f"bad mode specified: {mode}")
    if not inside.startswith("/"):
        raise CommandError(f"{inside} is not an absolute path")
    return {"PathOnHost": host, "PathInContainer": inside, "CgroupPermissions": mode}


def _capability(name: str) -> str:
    """Return `CAP_NET_ADMIN` for `net_admin`."""
    name = name.strip().upper()
    return name if name == "ALL" or name.startswith("CAP_") else f"CAP_{name}"


def _is_device_mode(text: str) -> bool:
    return bool(text) and set(text) <= set("rwm") and len(set(text)) == len(text)


def _security_option(option: str) -> str:
    name, equals, value = option.partition("=") if "=" in option else option.partition(":")
    if not equals and name != "no-new-privileges":
        raise CommandError(f'Invalid --security-opt: "{option}"')
    if name != "seccomp" or value in ("unconfined", "builtin"):
        return option
    try:
        return f"seccomp={json.dumps(json.loads(Path(value).read_text()), separators=(',', ':'))}"
    except OSError as error:
        raise CommandError(f"opening seccomp profile ({value}) failed: open {value}: {_reason(error)}") from error
    except ValueError as error:
        raise CommandError(f"compacting json for seccomp profile ({value}) failed: {error}") from error


def _mode(given: Given, flag: str, title: str, values: tuple[str, ...], *, joinable: bool = False) -> str:
    mode = given.text(flag)
    if mode and mode not in values and not (joinable and mode.startswith("container:") and len(mode) > len("container:")):
        raise CommandError(f"--{flag}: invalid {title} mode")
    return mode


def environment_entries(given: Given) -> list[str]:
    """Return `NAME=value` entries; a NAME alone takes the command's own value, and removes the image's if there is none."""
    entries = [*_lines_of(given.many("env-file"), "env"), *given.many("env")]
    return [entry if "=" in entry or not is_set(entry) else f"{entry}={environment(entry)}" for entry in entries]


def _lines_of(paths: Iterable[str], kind: str) -> list[str]:
    lines: list[str] = []
    for path in paths:
        try:
            text = Path(path).read_text(encoding="utf-8-sig")
        except OSError as error:
            raise CommandError(f"open {path}: {_reason(error)}") from error
        except UnicodeDecodeError as error:
            raise CommandError(f"invalid {kind} file ({path}): invalid utf8 bytes") from error
        lines += [_file_line(line.lstrip(), path, kind) for line in text.splitlines() if line.strip() and not line.lstrip().startswith("#")]
    return lines


def _file_line(line: str, path: str, kind: str) -> str:
    name = line.partition("=")[0]
    if not name:
        raise CommandError(f"invalid {kind} file ({path}): no variable name on line '{line}'")
    if any(letter.isspace() for letter in name):
        raise CommandError(f"invalid {kind} file ({path}): variable '{name}' contains whitespaces")
    return line


def _reason(error: OSError) -> str:
    return (error.strerror or str(error)).lower()


def _pairs(entries: Iterable[str]) -> dict[str, str]:
    return {name: value for name, _, value in (entry.partition("=") for entry in entries)}
