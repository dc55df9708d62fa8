"""GET /containers/{id}/json: everything about one container, as `docker inspect`, compose and docker-py read it."""

from linkspan.api.times import rfc3339
from linkspan.api.wire_containers import sizes
from linkspan.api.wire_endpoints import network_settings
from linkspan.api.wire_mounts import mount_points, mounts_of_host_config
from linkspan.api.wire_publish import exposed_ports, port_bindings
from linkspan.engine.views import ContainerView
from linkspan.model.container import Container, Resources, Spec, Status

Json = dict[str, object]


def container_details(view: ContainerView, *, runtime: str, size: bool) -> Json:
    """Render a container; `runtime` is the name of the OCI runtime."""
    container = view.container
    arguments = container.spec.process.args
    rendered: Json = {
        "Id": container.id,
        "Created": rfc3339(container.created),
        "Path": arguments[0] if arguments else "",
        "Args": list(arguments[1:]),
        "State": _state(container),
        "Image": container.spec.image,
        "ResolvConfPath": view.files.get("resolv.conf", ""),
        "HostnamePath": view.files.get("hostname", ""),
        "HostsPath": view.files.get("hosts", ""),
        "LogPath": view.files.get("log", ""),
        "Name": f"/{container.name}",
        "RestartCount": container.state.restart_count,
        "Driver": "overlay2",
        "Platform": "linux",
        "MountLabel": "",
        "ProcessLabel": "",
        "AppArmorProfile": "",
        "ExecIDs": list(view.execs) or None,
        "HostConfig": _host_config(container, runtime),
        "GraphDriver": {"Data": None, "Name": "overlay2"},
        "Mounts": mount_points(container.spec),
        "Config": _config(view),
        "NetworkSettings": network_settings(view),
    }
    return rendered | (sizes(view) if size else {})


def _state(container: Container) -> Json:
    state = container.state
    return {
        "Status": state.status.value,
        "Running": state.running or state.status is Status.RESTARTING,
        "Paused": state.status is Status.PAUSED,
        "Restarting": state.status is Status.RESTARTING,
        "OOMKilled": state.oom_killed,
        "Dead": False,
        "Pid": state.pid if state.running else 0,
        "ExitCode": state.exit_code,
        "Error": state.error,
        "StartedAt": rfc3339(state.started),
        "FinishedAt": rfc3339(state.finished),
    }


def _config(view: ContainerView) -> Json:
    spec = view.container.spec
    process = spec.process
    rendered: Json = {
        "Hostname": view.hostname or spec.hostname,
        "Domainname": spec.domainname,
        "User": process.user,
        "AttachStdin": spec.attach_stdin,
        "AttachStdout": spec.attach_stdout,
        "AttachStderr": spec.attach_stderr,
        "Tty": process.tty,
        "OpenStdin": process.open_stdin,
        "StdinOnce": process.stdin_once,
        "Env": list(process.env),
        "Cmd": list(spec.cmd) or None,
        "Image": spec.image_name,
        "Volumes": None,
        "WorkingDir": process.working_dir,
        "Entrypoint": list(spec.entrypoint) or None,
        "OnBuild": None,
        "Labels": spec.labels,
        "StopSignal": spec.stop_signal,
        "StopTimeout": spec.stop_timeout,
    }
    if spec.network.exposed:
        rendered["ExposedPorts"] = exposed_ports(spec.network.exposed)
    if spec.network.mac:
        rendered["MacAddress"] = spec.network.mac
    return rendered


def _host_config(container: Container, runtime: str) -> Json:
    spec = container.spec
    network, security = spec.network, spec.security
    return {
        **mounts_of_host_config(spec),
        "ContainerIDFile": "",
        "LogConfig": {"Type": "json-file", "Config": {}},
        "NetworkMode": str(network.mode),
        "PortBindings": port_bindings(network),
        "RestartPolicy": {"Name": container.restart.name, "MaximumRetryCount": container.restart.retries},
        "AutoRemove": spec.auto_remove,
        "VolumeDriver": "",
        "VolumesFrom": None,
        "ConsoleSize": [0, 0],
        "CapAdd": list(security.cap_add) or None,
        "CapDrop": list(security.cap_drop) or None,
        "CgroupnsMode": security.cgroupns_mode or "host",
        "Dns": list(network.dns),
        "DnsOptions": list(network.dns_options),
        "DnsSearch": list(network.dns_search),
        "ExtraHosts": [f"{name}:{address}" for name, address in network.extra_hosts] or None,
        "GroupAdd": list(security.group_add) or None,
        "IpcMode": security.ipc_mode or "private",
        "Cgroup": "",
        "Links": [f"{target}:/{container.name}/{alias}" for target, alias in network.links] or None,
        "PidMode": security.pid_mode,
        "Privileged": security.privileged,
        "PublishAllPorts": network.publish_all,
        "ReadonlyRootfs": security.read_only_root,
        "SecurityOpt": list(security.options) or None,
        "UTSMode": security.uts_mode,
        "UsernsMode": security.userns_mode,
        "ShmSize": spec.shm_size,
        "Sysctls": network.sysctls,
        "Runtime": runtime,
        "Isolation": "",
        "Init": spec.init,
        **_resources(spec),
    }


def _resources(spec: Spec) -> Json:
    resources: Resources = spec.resources
    return {
        "CpuShares": resources.cpu_shares,
        "Memory": resources.memory,
        "NanoCpus": resources.nano_cpus,
        "CgroupParent": "",
        "BlkioWeight": 0,
        "CpuPeriod": resources.cpu_period,
        "CpuQuota": resources.cpu_quota,
        "CpusetCpus": resources.cpuset_cpus,
        "CpusetMems": resources.cpuset_mems,
        "Devices": [
            {"PathOnHost": device.host_path, "PathInContainer": device.container_path, "CgroupPermissions": device.permissions}
            for device in resources.devices
        ],
        "DeviceCgroupRules": None,
        "DeviceRequests": None,
        "MemoryReservation": resources.memory_reservation,
        "MemorySwap": resources.memory_swap,
        "MemorySwappiness": None,
        "OomKillDisable": resources.oom_kill_disable,
        "OomScoreAdj": resources.oom_score_adj,
        "PidsLimit": resources.pids_limit or None,
        "Ulimits": [{"Name": limit.name, "Soft": limit.soft, "Hard": limit.hard} for limit in resources.ulimits],
    }
