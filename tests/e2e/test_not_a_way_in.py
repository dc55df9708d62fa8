"""Not a way in: neither for users of the host who are not root, nor for what containers and requests bring along."""

import json
import os
import shutil
import subprocess
import sys
import tarfile
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.engines import Engine
from tests.hosts import Host, until
from tests.kernel.imagestores import docker_archive, member, tar_of

pytestmark = pytest.mark.kernel

NOBODY, GROUP = 65534, 12
"""A user who is nobody, and a group that Debian has (man), which plays the engine's."""
PROBE = """
import json, os, socket, sys
opened, listed, connected = [], [], []
for path in json.load(sys.stdin):
    try:
        os.close(os.open(path, os.O_RDONLY | os.O_NONBLOCK))
        (listed if os.path.isdir(path) else opened).append(path)
    except OSError:
        pass
    with socket.socket(socket.AF_UNIX) as client:
        try:
            client.connect(path)
            connected.append(path)
        except OSError:
            pass
    if os.access(path, os.W_OK):
        opened.append(path)
print(json.dumps([opened, listed, connected]))
"""
SECRET = "hunter2-and-a-half"


# Users of the host


@pytest.fixture
def open_folder() -> Iterator[Path]:
    """A folder that every user of the host may look into, unlike pytest's own."""
    folder = Path(tempfile.mkdtemp(prefix="linkspan-", dir="/var/tmp"))
    folder.chmod(0o755)
    yield folder
    shutil.rmtree(folder)


def reachable(paths: list[str], *groups: int) -> tuple[list[str], list[str], list[str]]:
    """What a user who is not root can open, list and connect to, of these paths."""
    who = ["setpriv", f"--reuid={NOBODY}", f"--regid={NOBODY}", f"--groups={','.join(map(str, groups))}" if groups else "--clear-groups"]
    done = subprocess.run([*who, sys.executable, "-c", PROBE], input=json.dumps(paths), capture_output=True, text=True, check=True)
    opened, listed, connected = json.loads(done.stdout)
    return opened, listed, connected


def everything(*roots: Path) -> list[str]:
    found = [str(root) for root in roots]
    for root in roots:
        for where, folders, files in os.walk(root):
            found += [os.path.join(where, name) for name in (*folders, *files)]  # noqa: PTH118  faster, and there are thousands
    return found


def busy_session(engine: Engine) -> None:
    """Leave everything behind that a session can: running, paused and ended containers, an exec, secrets, images."""
    engine.docker("run", "-d", "--name", "web", "-p", "8080:80", "-e", f"PASSWORD={SECRET}", "busybox", "sleep", "300")
    engine.docker("run", "-d", "--name", "member", "--net=container:web", "busybox", "sleep", "300")
    engine.docker("run", "-d", "-t", "--name", "paused", "busybox", "sleep", "300")
    engine.docker("pause", "paused")
    engine.docker("run", "--name", "ended", "busybox", "echo", SECRET)
    engine.docker("exec", "web", "sh", "-c", f"echo {SECRET} >/secret; chmod 777 /secret")
    engine.docker("exec", "-d", "-e", f"TOKEN={SECRET}", "web", "sleep", "300")
    engine.docker("save", "busybox", "-o", engine.folder / "saved.tar")


def test_nobody_but_root_reads_the_roots(host: Host, open_folder: Path) -> None:
    """Whatever the umask: each file under the roots is probed by name, as another user and as one of the socket's group."""
    former = os.umask(0)
    try:
        with Engine(host, open_folder / "e", "--group", "man") as engine:
            data, run = engine.folder / "data", engine.folder / "run"
            busy_session(engine)
            paths = everything(data, run)
            assert len(paths) > 200
            assert any("config.json" in path for path in paths)
            socket = str(engine.socket)
            assert reachable(paths) == ([], [], [])
            assert reachable(paths, GROUP) == ([socket], [], [socket])
            assert SECRET not in "".join(path.read_text(errors="replace") for path in Path("/proc").glob("[0-9]*/cmdline") if helper(path))
            assert SECRET not in engine.log
            control = open_folder / "control"
            control.write_text("")
            assert reachable([str(control)])[0] == [str(control)] * 2, "the probe sees what can be read and written"
            engine.docker("unpause", "paused")
    finally:
        os.umask(former)


def helper(command: Path) -> bool:
    """Whether a process is one of ours that every user of the host sees, and not the container's or a client's own."""
    try:
        return command.read_bytes().split(b"\0")[0].endswith((b"conmon", b"crun", b"runc"))
    except OSError:
        return False


def test_the_socket_belongs_to_root_and_to_the_group_if_there_is_one(host: Host, tmp_path: Path) -> None:
    for group, owner in (("man", (0, GROUP)), ("no-such-group", (0, 0))):
        with Engine(host, tmp_path / group, "--group", group) as engine:
            status = engine.socket.stat()
            assert (status.st_uid, status.st_gid) == owner
            assert oct(status.st_mode & 0o777) == "0o660"


# What requests bring along

BREAK = "x\nINJECTED"


@pytest.mark.parametrize(
    ("config", "host_config"),
    [
        ({"Hostname": BREAK}, {}),
        ({"Hostname": "a b"}, {}),
        ({"Domainname": BREAK}, {}),
        ({}, {"ExtraHosts": [f"{BREAK}:192.0.2.1"]}),
        ({}, {"ExtraHosts": ["a:192.0.2.1\n192.0.2.2 INJECTED"]}),
        ({}, {"ExtraHosts": ["a=fe80::1%a\n192.0.2.2 INJECTED"]}),
        ({}, {"ExtraHosts": ["a:[fe80::1%a\tINJECTED]"]}),
        ({}, {"Dns": ["192.0.2.1\nnameserver 192.0.2.2"]}),
        ({}, {"Dns": ["fe80::1%a\nnameserver 192.0.2.2"]}),
        ({}, {"DnsSearch": [BREAK]}),
        ({}, {"DnsSearch": ["a b"]}),
        ({}, {"DnsOptions": [BREAK]}),
        ({}, {"Links": ["web:a\nINJECTED"]}),
        ({}, {"NetworkMode": f"container:{BREAK}"}),
        ({}, {"NetworkMode": '"; flush ruleset; #'}),
        ({}, {"Sysctls": {"net/../kernel/core_pattern": "INJECTED"}}),
        ({}, {"Sysctls": {"kernel.core_pattern": "INJECTED"}}),
        ({}, {"PortBindings": {"80/tcp": [{"HostIp": "127.0.0.1 : drop", "HostPort": "80"}]}}),
        ({}, {"PortBindings": {"80/tcp }; flush ruleset": [{"HostPort": "80"}]}}),
        ({"MacAddress": "02:00:00:00:00:01 : drop"}, {}),
    ],
    ids=lambda value: json.dumps(value)[:60],
)
def test_what_would_become_a_line_or_a_rule_of_its_own_is_refused(
    engine: Engine, config: dict[str, object], host_config: dict[str, object]
) -> None:
    before = engine.host.sh("nft", "list", "ruleset")
    body = {"Image": "busybox", "Cmd": ["true"], **config, "HostConfig": host_config}
    status, said = engine.api("POST", "/v1.41/containers/create?name=evil", body)
    if status == 201:  # what can only be known later is refused by the start
        status, said = engine.api("POST", "/v1.41/containers/evil/start")
        engine.docker("rm", "evil")
    assert status >= 400, said
    assert engine.host.sh("nft", "list", "ruleset") == before


def test_what_is_free_text_stays_text(engine: Engine, tmp_path: Path) -> None:
    """Labels, variables, commands, paths: whatever is in them, they come back as they were, and the log has one line for each event."""
    texts = ["a\nb", "%s%n%(name)s", "'\"`$(id)", "{} {0}", "\x1b[31m", "ü\u2028\u202e", "}; flush ruleset; #", "../../../etc", "-rf"]
    for text in texts:
        source = tmp_path / "sources" / text.replace("/", "-").replace(":", "-")
        source.mkdir(parents=True)
        (source / "file").write_text("found")
        body = {
            "Image": "busybox",
            "Cmd": ["sh", "-c", 'echo "$V"; cat /in/file; echo "$0"', text],
            "Env": [f"V={text}"],
            "Labels": {text: text},
            "HostConfig": {"Mounts": [{"Type": "bind", "Source": str(source), "Target": "/in"}]},
        }
        before = engine.host.sh("nft", "list", "ruleset")
        assert engine.api("POST", "/v1.41/containers/create?name=box", body)[0] == 201
        assert engine.docker("start", "-a", "box") == f"{text}\nfound{text}"
        assert engine.inspect("box")["Config"]["Labels"][text] == text
        until(lambda: engine.host.sh("nft", "list", "ruleset") == before, what="the ruleset is as it was")  # noqa: B023  waited for here
        engine.docker("rm", "box")
    command = "x\n2026-01-01 00:00:00,000 INFO destroy everything\x1b[2J"
    engine.refused("run", "--rm", "--name", "box", "busybox", command)
    assert "x\\n2026-01-01 00:00:00,000 INFO destroy everything\\x1b[2J" in engine.log
    assert not [line for line in engine.log.splitlines() if line.startswith("2026-01-01")]
    assert engine.log.isprintable() or set(engine.log) - {"\n"} == {each for each in engine.log if each.isprintable()}


def test_names_of_images_and_networks_are_no_paths(engine: Engine) -> None:
    for name in ("../../etc/passwd", "a\nb", "a b", "%2e%2e", "..", "/etc/passwd"):
        status, _ = engine.api("POST", "/v1.41/containers/create", {"Image": name, "Cmd": ["true"]})
        assert status in (400, 404)
    for path in ("/containers/..%2f..%2fetc/json", "/images/..%2f..%2fetc/json", "/networks/..%2f..%2fetc", "/exec/..%2f..%2fetc/json"):
        assert engine.api("GET", f"/v1.41{path}")[0] in (400, 404)


# What containers bring along


def test_links_in_a_root_lead_nowhere(engine: Engine, tmp_path: Path) -> None:
    """/etc, /etc/hosts, the target of a bind mount and the working folder are links out: all that is written stays inside."""
    outside = tmp_path / "outside"
    outside.mkdir()
    (outside / "passwd").write_text("evil:x:0:0::/:/bin/sh\n")
    (outside / "hosts").write_text("untouched\n")
    out = str(outside)
    busybox = Path(shutil.which("busybox") or "/bin/busybox").read_bytes()
    for links in (
        {"etc": out},
        {"etc/hosts": f"{out}/hosts", "etc/resolv.conf": f"{out}/new"},
        {"data": out, "work": "../../../../.." + out},
    ):
        entries = [(member("bin/busybox"), busybox), *((member(name, tarfile.SYMTYPE, target), b"") for name, target in links.items())]
        entries[0][0].mode = 0o755
        (tmp_path / "image.tar").write_bytes(docker_archive(["links:1"], tar_of(entries)))
        engine.docker("load", "-i", tmp_path / "image.tar")
        engine.try_docker(
            "run", "--rm", "-v", f"{tmp_path}:/data/in", "-w", "/work/made", "--tmpfs", "/data/tmp", "links:1",
            "/bin/busybox", "sh", "-c", "/bin/busybox echo changed >>/etc/hosts",
        )  # fmt: skip
        refusal = engine.refused("run", "--rm", "--user", "evil", "links:1", "/bin/busybox", "true")
        assert "unable to find user evil: no matching entries in passwd file" in refusal
        assert sorted(path.name for path in outside.iterdir()) == ["hosts", "passwd"]
        assert (outside / "hosts").read_text() == "untouched\n"
        engine.docker("rmi", "-f", "links:1")


def test_the_mounted_files_cannot_be_swapped_for_links(engine: Engine, tmp_path: Path) -> None:
    """The engine writes hosts, hostname and resolv.conf anew at each start: they must still be its own files."""
    victim = tmp_path / "victim"
    victim.write_text("untouched\n")
    engine.docker("run", "-d", "--name", "box", "--privileged", "busybox", "sleep", "300")
    for name in ("/etc/hosts", "/etc/hostname", "/etc/resolv.conf"):
        for attempt in (f"rm {name}", f"mv {name} /x", f"ln -sf {victim} {name}"):
            assert engine.try_docker("exec", "box", "sh", "-c", attempt).status != 0
        engine.docker("exec", "box", "sh", "-c", f"echo mine >{name}; umount {name}; rm -f {name}; ln -s {victim} {name}")
    engine.docker("restart", "-t", "0", "box")
    assert victim.read_text() == "untouched\n"
    folder = engine.folder / "data" / "containers" / engine.inspect("box")["Id"]
    assert not any((folder / name).is_symlink() for name in ("hosts", "hostname", "resolv.conf"))
    assert "mine" not in engine.docker("exec", "box", "cat", "/etc/hosts")


def test_a_device_of_an_image_opens_nothing(engine: Engine, tmp_path: Path) -> None:
    busybox = Path(shutil.which("busybox") or "/bin/busybox").read_bytes()
    memory, program = member("mem", tarfile.CHRTYPE), member("bin/busybox")
    memory.devmajor, memory.devminor, memory.mode, program.mode = 1, 1, 0o666, 0o755
    (tmp_path / "image.tar").write_bytes(docker_archive(["devices:1"], tar_of([(memory, b""), (program, busybox)])))
    engine.docker("load", "-i", tmp_path / "image.tar")
    refusal = engine.refused("run", "--rm", "devices:1", "/bin/busybox", "head", "-c", "1", "/mem")
    assert "Operation not permitted" in refusal
    engine.docker("rmi", "devices:1")


def test_folders_deeper_than_a_path_are_no_trouble(engine: Engine) -> None:
    nest = "for i in $(seq 2000); do mkdir d && cd d || break; done; echo done >file"
    engine.docker("run", "--name", "deep", "busybox", "sh", "-c", nest)
    assert "(virtual" in engine.docker("ps", "-as")
    engine.docker("rm", "deep")
    until(lambda: not any((engine.folder / "data" / "containers").iterdir()), what="its folder is gone")
    assert "RecursionError" not in engine.log
