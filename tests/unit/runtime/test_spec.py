"""config.json: what Docker gives a container, and what it refuses to give."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from linkspan.errors import InvalidInput, Unsupported
from linkspan.model.container import Container, Mount, NetworkConfig, NetworkMode, Process, Resources, Security, Spec, Ulimit
from linkspan.runtime.capabilities import CAPABILITIES
from linkspan.runtime.devices import Node
from linkspan.runtime.host import Host
from linkspan.runtime.spec import Launch, exec_process, render, validate
from linkspan.runtime.users import User

HOST = Host(cgroup2=False, swap_limit=True, capabilities=frozenset(CAPABILITIES), machine="x86_64", kernel=(6, 1))
NAMESPACE = Path("/run/linkspan/netns/x")
ID = "f" * 64


def launch(process: Process | None = None, *, resources: Resources = Resources(), security: Security = Security(), **more: Any) -> Launch:
    of_spec = {key: more.pop(key) for key in tuple(more) if key in Spec.__dataclass_fields__}
    spec = Spec(
        process=process or Process(args=("sh",)),
        network=of_spec.pop("network", NetworkConfig(mode=NetworkMode(kind="none"))),
        image="sha256:0",
        image_name="busybox",
        resources=resources,
        security=security,
        **of_spec,
    )
    container = Container(id=ID, name="box", created=0, spec=spec)
    given = {"hostname": "box", "user": User(), "namespace": NAMESPACE, **more}
    return Launch(container=container, rootfs=Path("/root-of-it"), **given)


def rendered(host: Host = HOST, devices: tuple[Node, ...] = (), **more: Any) -> dict[str, Any]:
    return render(launch(**more), host, devices)


def mount_of(config: dict[str, Any], target: str) -> dict[str, Any]:
    [found] = [mount for mount in config["mounts"] if mount["destination"] == target]
    return dict(found)


def namespaces(config: dict[str, Any]) -> dict[str, str]:
    return {entry["type"]: entry.get("path", "") for entry in config["linux"]["namespaces"]}


def test_a_plain_container() -> None:
    config = rendered()
    assert config["ociVersion"] == "1.0.2"
    assert config["root"] == {"path": "/root-of-it", "readonly": False}
    assert config["hostname"] == "box"
    assert config["linux"]["cgroupsPath"] == f"/linkspan/{ID}"
    assert namespaces(config) == {"mount": "", "pid": "", "ipc": "", "uts": "", "network": str(NAMESPACE)}
    assert "/proc/kcore" in config["linux"]["maskedPaths"]
    assert "/proc/sys" in config["linux"]["readonlyPaths"]
    assert config["process"]["noNewPrivileges"] is False
    assert "rlimits" not in config["process"]
    assert "oomScoreAdj" not in config["process"]
    assert "rootfsPropagation" not in config["linux"]


def test_the_mounts_are_dockers() -> None:
    config = rendered(shm_size=1 << 20)
    assert [mount["destination"] for mount in config["mounts"]] == [
        "/proc",
        "/dev",
        "/dev/pts",
        "/sys",
        "/sys/fs/cgroup",
        "/dev/mqueue",
        "/dev/shm",
    ]
    assert "ro" in mount_of(config, "/sys")["options"]
    assert "ro" in mount_of(config, "/sys/fs/cgroup")["options"]
    assert mount_of(config, "/dev/shm")["options"] == ["nosuid", "noexec", "nodev", "mode=1777", "size=1048576"]


def test_the_default_capabilities_are_dockers_fourteen() -> None:
    sets = rendered()["process"]["capabilities"]
    mask = sum(1 << CAPABILITIES.index(name) for name in sets["bounding"])
    assert mask == 0xA80425FB
    assert sets["effective"] == sets["permitted"] == sets["bounding"]
    assert sets["inheritable"] == sets["ambient"] == []


def test_another_user_than_root_starts_without_capabilities() -> None:
    process = rendered(user=User(uid=33, gid=34, groups=(34, 50)))["process"]
    assert process["user"] == {"uid": 33, "gid": 34, "additionalGids": [34, 50]}
    assert len(process["capabilities"]["bounding"]) == 14
    assert process["capabilities"]["effective"] == process["capabilities"]["permitted"] == []


@pytest.mark.parametrize(
    ("security", "expected"),
    [
        (Security(cap_drop=("ALL",)), set()),
        (Security(cap_drop=("all",), cap_add=("net_raw",)), {"CAP_NET_RAW"}),
        (Security(cap_add=("ALL",), cap_drop=("CAP_SYS_ADMIN",)), set(CAPABILITIES) - {"CAP_SYS_ADMIN"}),
        (Security(privileged=True, cap_drop=("KILL",)), set(CAPABILITIES)),
    ],
)
def test_adding_and_dropping_capabilities(security: Security, expected: set[str]) -> None:
    assert set(rendered(security=security)["process"]["capabilities"]["bounding"]) == expected


def test_nobody_gives_more_than_he_has() -> None:
    poor = replace(HOST, capabilities=frozenset(CAPABILITIES) - {"CAP_SYS_RESOURCE", "CAP_KILL"})
    assert "CAP_SYS_RESOURCE" not in rendered(poor, security=Security(privileged=True))["process"]["capabilities"]["bounding"]
    assert "CAP_KILL" not in rendered(poor)["process"]["capabilities"]["bounding"]
    reason = "capability not supported by your kernel or not available in the current environment"
    with pytest.raises(InvalidInput, match=f'invalid CapAdd: {reason}: "CAP_SYS_RESOURCE"'):
        rendered(poor, security=Security(cap_add=("SYS_RESOURCE",)))


@pytest.mark.parametrize(
    ("security", "text"),
    [
        (Security(cap_add=("nonsense",)), 'invalid CapAdd: unknown capability: "CAP_NONSENSE"'),
        (Security(cap_drop=("",)), 'invalid CapDrop: unknown capability: "CAP_"'),
        (Security(options=("seccomp={",)), "decoding seccomp profile failed: "),
        (Security(options=("seccomp=/path",)), "decoding seccomp profile failed: "),
        (Security(options=("seccomp=[]",)), "decoding seccomp profile failed: not a JSON object"),
        (Security(options=("seccomp={}",)), "decoding seccomp profile failed: defaultAction is missing"),
        (Security(options=("no-new-privileges:perhaps",)), 'invalid --security-opt 2: "no-new-privileges:perhaps"'),
    ],
)
def test_what_is_refused_is_refused_when_it_is_asked_for(security: Security, text: str) -> None:
    asked = launch(security=security)
    for refuse in (lambda: validate(asked.container.spec, HOST), lambda: render(asked, HOST, ())):
        with pytest.raises(InvalidInput) as refusal:
            refuse()
        assert str(refusal.value).startswith(text)


def test_a_profile_of_another_form_is_refused() -> None:
    for profile in ('{"defaultAction": "x", "syscalls": 3}', '{"defaultAction": "x", "syscalls": [{"names": ["a"]}]}'):
        with pytest.raises(InvalidInput, match="decoding seccomp profile failed: unexpected form"):
            rendered(security=Security(options=(f"seccomp={profile}",)))


def test_privileged_means_everything() -> None:
    node = Node(path="/dev/kvm", kind="c", major=10, minor=232, mode=0o660, uid=0, gid=36)
    config = rendered(security=Security(privileged=True), devices=(node,))
    assert config["linux"]["maskedPaths"] == config["linux"]["readonlyPaths"] == []
    assert "seccomp" not in config["linux"]
    assert config["linux"]["resources"]["devices"] == [{"allow": True, "access": "rwm"}]
    assert [device["path"] for device in config["linux"]["devices"]] == ["/dev/kvm"]
    assert "ro" not in mount_of(config, "/sys")["options"]
    assert "ro" not in mount_of(config, "/sys/fs/cgroup")["options"]


def test_a_device_is_made_and_allowed_with_the_rights_asked_for() -> None:
    node = Node(path="/dev/mine", kind="b", major=7, minor=3, mode=0o600, uid=0, gid=6, permissions="r")
    linux = rendered(devices=(node,))["linux"]
    assert linux["devices"] == [{"type": "b", "path": "/dev/mine", "major": 7, "minor": 3, "fileMode": 0o600, "uid": 0, "gid": 6}]
    assert linux["resources"]["devices"][0] == {"allow": False, "access": "rwm"}
    assert linux["resources"]["devices"][-1] == {"allow": True, "type": "b", "major": 7, "minor": 3, "access": "r"}


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        (("no-new-privileges",), True),
        (("no-new-privileges:true",), True),
        (("no-new-privileges=true",), True),
        (("no-new-privileges:false",), False),
        (("label=disable", "apparmor=unconfined"), False),
    ],
)
def test_no_new_privileges(options: tuple[str, ...], *, expected: bool) -> None:
    assert rendered(security=Security(options=options))["process"]["noNewPrivileges"] is expected


def test_modes_of_the_host_take_namespaces_away() -> None:
    shared = rendered(security=Security(pid_mode="host", ipc_mode="host", uts_mode="host"), namespace=None, domainname="example")
    assert namespaces(shared) == {"mount": ""}
    assert "hostname" not in shared
    assert "kernel.domainname" not in shared["linux"]["sysctl"]
    assert mount_of(shared, "/dev/shm")["source"] == "/dev/shm"


def test_the_hosts_network_leaves_a_host_name_of_its_own() -> None:
    config = rendered(namespace=None)
    assert "network" not in namespaces(config)
    assert "uts" in namespaces(config)
    assert config["hostname"] == "box"


def test_other_ipc_modes() -> None:
    none = rendered(security=Security(ipc_mode="none"))
    assert "/dev/shm" not in [mount["destination"] for mount in none["mounts"]]
    with pytest.raises(Unsupported, match="IPC mode container:x is not supported"):
        rendered(security=Security(ipc_mode="container:x"))


@pytest.mark.parametrize(
    ("cgroup2", "security", "own"),
    [
        (False, Security(), False),
        (False, Security(cgroupns_mode="private"), True),
        (True, Security(), True),
        (True, Security(cgroupns_mode="host"), False),
        (True, Security(privileged=True), False),
    ],
)
def test_the_cgroup_namespace(*, cgroup2: bool, security: Security, own: bool) -> None:
    assert ("cgroup" in namespaces(rendered(replace(HOST, cgroup2=cgroup2), security=security))) is own


def test_sysctls_of_the_network_never_reach_the_host() -> None:
    sysctls = {"net.ipv4.ip_forward": "1", "kernel.shmmax": "1"}
    network = NetworkConfig(mode=NetworkMode(kind="host"), sysctls=sysctls)
    assert rendered(network=network)["linux"]["sysctl"] == sysctls
    assert rendered(network=network, namespace=None)["linux"]["sysctl"] == {"kernel.shmmax": "1"}


def test_a_domain_name_is_set() -> None:
    assert rendered(domainname="example")["linux"]["sysctl"] == {"kernel.domainname": "example"}


def test_the_environment_keeps_one_value_of_a_name() -> None:
    process = Process(args=("sh",), env=("A=1", "PATH=/mine", "A=2=3", "EMPTY="), tty=True)
    assert rendered(process=process)["process"]["env"] == ["PATH=/mine", "HOSTNAME=box", "TERM=xterm", "A=2=3", "EMPTY="]


def test_an_exec_inherits_and_overrides() -> None:
    running = rendered(process=Process(args=("sh",), env=("A=1",)), security=Security(cap_drop=("KILL",), options=("no-new-privileges",)))
    process = Process(args=("ls", "-l"), env=("A=2",), working_dir="/tmp", tty=True)
    command = exec_process(running["process"], process, User(uid=33), privileged=False, host=HOST)
    assert command["args"] == ["ls", "-l"]
    assert command["cwd"] == "/tmp"
    assert command["terminal"] is True
    assert command["env"][0] == "TERM=xterm"
    assert "A=2" in command["env"]
    assert "A=1" not in command["env"]
    assert command["noNewPrivileges"] is True
    assert command["capabilities"]["bounding"] == running["process"]["capabilities"]["bounding"]
    assert command["capabilities"]["effective"] == []
    assert command["user"]["uid"] == 33


def test_a_privileged_exec_has_all_capabilities() -> None:
    command = exec_process(rendered()["process"], Process(args=("sh",)), User(), privileged=True, host=HOST)
    assert command["capabilities"]["effective"] == list(CAPABILITIES)


def test_an_init_is_put_in_front() -> None:
    config = rendered(process=Process(args=("a", "b")), init_binary=Path("/usr/bin/tini-static"))
    assert config["process"]["args"] == ["/sbin/docker-init", "--", "a", "b"]
    assert mount_of(config, "/sbin/docker-init")["source"] == "/usr/bin/tini-static"


@pytest.mark.parametrize(
    ("ulimits", "expected"),
    [
        ((), (300, 4096)),
        ((Ulimit(name="nofile", soft=10, hard=20),), (10, 20)),
        ((Ulimit(name="core", soft=0, hard=0),), (300, 4096)),
    ],
)
def test_the_limit_of_open_files_that_the_engine_raised_for_itself_is_not_the_containers(
    ulimits: tuple[Ulimit, ...], expected: tuple[int, int]
) -> None:
    config = rendered(host=replace(HOST, open_files=(300, 4096)), resources=Resources(ulimits=ulimits))
    limits = {limit["type"]: (limit["soft"], limit["hard"]) for limit in config["process"]["rlimits"]}
    assert limits["RLIMIT_NOFILE"] == expected


def test_limits() -> None:
    resources = Resources(
        memory=64 << 20,
        nano_cpus=1_500_000_000,
        cpu_shares=512,
        cpuset_cpus="0-1",
        pids_limit=10,
        oom_score_adj=100,
        ulimits=(Ulimit(name="nofile", soft=10, hard=-1),),
    )
    config = rendered(resources=resources)
    limits = config["linux"]["resources"]
    assert limits["memory"] == {"limit": 64 << 20, "swap": 128 << 20}
    assert limits["cpu"] == {"shares": 512, "quota": 150_000, "period": 100_000, "cpus": "0-1"}
    assert limits["pids"] == {"limit": 10}
    assert config["process"]["oomScoreAdj"] == 100
    assert config["process"]["rlimits"] == [{"type": "RLIMIT_NOFILE", "soft": 10, "hard": (1 << 64) - 1}]


def test_swap_is_only_limited_where_it_can_be() -> None:
    limited = Resources(memory=1 << 20, memory_swap=-1)
    assert rendered(resources=limited)["linux"]["resources"]["memory"] == {"limit": 1 << 20, "swap": -1}
    memory = rendered(replace(HOST, swap_limit=False), resources=limited)["linux"]["resources"]["memory"]
    assert memory == {"limit": 1 << 20}


def test_no_limits_are_no_limits() -> None:
    assert set(rendered()["linux"]["resources"]) == {"devices"}


FILES = ((Path("/c/hosts"), "/etc/hosts"), (Path("/c/resolv.conf"), "/etc/resolv.conf"))


@pytest.mark.parametrize(("read_only", "access"), [(True, "ro"), (False, "rw")])
def test_the_networks_files_are_as_writable_as_the_root(*, read_only: bool, access: str) -> None:
    config = rendered(files=FILES, security=Security(read_only_root=read_only))
    assert config["root"]["readonly"] is read_only
    assert mount_of(config, "/etc/hosts") == {
        "destination": "/etc/hosts",
        "type": "bind",
        "source": "/c/hosts",
        "options": ["rbind", access, "rprivate"],
    }


def test_the_users_mounts_win_and_outer_ones_come_first() -> None:
    mounts = (
        Mount(kind="bind", source="/b", target="/a/b", options=("ro", "rslave")),
        Mount(kind="bind", source="/a", target="/a", options=("z", "rw")),
        Mount(kind="bind", source="/mine", target="/etc/hosts"),
        Mount(kind="tmpfs", target="/dev/shm", options=("size=1m", "exec")),
    )
    config = rendered(mounts=mounts, files=FILES)
    assert [mount["destination"] for mount in config["mounts"]][-4:] == ["/a", "/a/b", "/etc/hosts", "/dev/shm"]
    assert mount_of(config, "/a")["options"] == ["rbind", "rprivate"]
    assert mount_of(config, "/a/b")["options"] == ["rbind", "ro", "rslave"]
    assert mount_of(config, "/etc/hosts")["source"] == "/mine"
    assert mount_of(config, "/dev/shm")["options"] == ["nosuid", "nodev", "size=1m", "exec"]
    assert config["linux"]["rootfsPropagation"] == "rslave"
