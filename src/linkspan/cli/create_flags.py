"""The flags of `run` and `create`."""

from linkspan.cli.create_values import (
    ADDRESSES,
    BYTES,
    BYTES_OR_UNLIMITED,
    CPUS,
    ENVIRONMENT,
    EXTRA_HOSTS,
    LINKS,
    MOUNTS,
    NETWORKS,
    SEARCH_DOMAINS,
    STREAMS,
    SYSCTLS,
    ULIMITS,
)
from linkspan.cli.options import BOOL, INT, LABELS, LIST, STRING, Flag

DETACH_KEYS = Flag("detach-keys", "Override the key sequence for detaching a container", STRING)
SIG_PROXY = Flag("sig-proxy", "Proxy received signals to the process", BOOL, default="true")

_NETWORK = (
    Flag("add-host", "Add a custom host-to-IP mapping (host:ip)", EXTRA_HOSTS),
    Flag("dns", "Set custom DNS servers", ADDRESSES),
    Flag("dns-option", "Set DNS options", LIST, also=("dns-opt",)),
    Flag("dns-search", "Set custom DNS search domains", SEARCH_DOMAINS),
    Flag("domainname", "Container NIS domain name", STRING),
    Flag("expose", "Expose a port or a range of ports", LIST),
    Flag("hostname", "Container host name", STRING, "h"),
    Flag("ip", "IPv4 address (e.g., 172.30.100.104)", STRING),
    Flag("ip6", "IPv6 address (e.g., 2001:db8::33)", STRING),
    Flag("link", "Add link to another container", LINKS),
    Flag("link-local-ip", "Container IPv4/IPv6 link-local addresses", ADDRESSES),
    Flag("mac-address", "Container MAC address (e.g., 92:d0:c6:0a:29:33)", STRING),
    Flag(
        "network", "Connect a container to a network: bridge, host, none, container:NAME or the name of a network", NETWORKS, also=("net",)
    ),
    Flag("network-alias", "Add network-scoped alias for the container", LIST, also=("net-alias",)),
    Flag("publish", "Publish a container's port(s) to the host", LIST, "p"),
    Flag("publish-all", "Publish all exposed ports to random ports", BOOL, "P"),
)
_PROCESS = (
    Flag("attach", "Attach to STDIN, STDOUT or STDERR", STREAMS, "a"),
    Flag("entrypoint", "Overwrite the default ENTRYPOINT of the image", STRING),
    Flag("env", "Set environment variables", ENVIRONMENT, "e"),
    Flag("env-file", "Read in a file of environment variables", LIST),
    Flag("group-add", "Add additional groups to join", LIST),
    Flag("init", "Run an init inside the container that forwards signals and reaps processes"),
    Flag("interactive", "Keep STDIN open even if not attached", BOOL, "i"),
    Flag("stop-signal", "Signal to stop the container", STRING),
    Flag("stop-timeout", "Timeout (in seconds) to stop a container", INT),
    Flag("tty", "Allocate a pseudo-TTY", BOOL, "t"),
    Flag("user", "Username or UID (format: <name|uid>[:<group|gid>])", STRING, "u"),
    Flag("workdir", "Working directory inside the container", STRING, "w"),
)
_FILES = (
    Flag("mount", "Attach a filesystem mount to the container (type=bind or type=tmpfs)", MOUNTS),
    Flag("read-only", "Mount the container's root filesystem as read only"),
    Flag("shm-size", "Size of /dev/shm", BYTES),
    Flag("tmpfs", "Mount a tmpfs directory", LIST),
    Flag("volume", "Bind mount a host directory (/host:/container[:ro])", LIST, "v"),
    Flag("volumes-from", "Mount volumes from the specified container(s)", LIST),
)
_LIMITS = (
    Flag("cpu-period", "Limit CPU CFS (Completely Fair Scheduler) period", INT),
    Flag("cpu-quota", "Limit CPU CFS (Completely Fair Scheduler) quota", INT),
    Flag("cpu-shares", "CPU shares (relative weight)", INT, "c"),
    Flag("cpus", "Number of CPUs", CPUS),
    Flag("cpuset-cpus", "CPUs in which to allow execution (0-3, 0,1)", STRING),
    Flag("cpuset-mems", "MEMs in which to allow execution (0-3, 0,1)", STRING),
    Flag("device", "Add a host device to the container", LIST),
    Flag("memory", "Memory limit", BYTES, "m"),
    Flag("memory-reservation", "Memory soft limit", BYTES),
    Flag("memory-swap", "Swap limit equal to memory plus swap: '-1' to enable unlimited swap", BYTES_OR_UNLIMITED),
    Flag("oom-kill-disable", "Disable OOM Killer"),
    Flag("oom-score-adj", "Tune host's OOM preferences (-1000 to 1000)", INT),
    Flag("pids-limit", "Tune container pids limit (set -1 for unlimited)", INT),
    Flag("ulimit", "Ulimit options", ULIMITS),
)
_RIGHTS = (
    Flag("cap-add", "Add Linux capabilities", LIST),
    Flag("cap-drop", "Drop Linux capabilities", LIST),
    Flag("cgroupns", "Cgroup namespace to use (host|private)", STRING),
    Flag("ipc", "IPC mode to use", STRING),
    Flag("pid", "PID namespace to use", STRING),
    Flag("privileged", "Give extended privileges to this container"),
    Flag("security-opt", "Security Options", LIST),
    Flag("sysctl", "Sysctl options", SYSCTLS),
    Flag("userns", "User namespace to use", STRING),
    Flag("uts", "UTS namespace to use", STRING),
)
_CONTAINER = (
    Flag("cidfile", "Write the container ID to the file", STRING),
    Flag("label", "Set meta data on a container", LABELS, "l"),
    Flag("label-file", "Read in a line delimited file of labels", LIST),
    Flag("log-driver", "Logging driver for the container", STRING),
    Flag("log-opt", "Log driver options", LABELS),
    Flag("name", "Assign a name to the container", STRING),
    Flag("no-healthcheck", "Disable any container-specified HEALTHCHECK"),
    Flag("platform", "Set platform if server is multi-platform capable", STRING),
    Flag("pull", 'Pull image before running ("always", "missing", "never")', STRING, default="missing"),
    Flag("quiet", "Suppress the pull output", BOOL, "q"),
    Flag("restart", "Restart policy to apply when a container exits", STRING, default="no"),
    Flag("rm", "Automatically remove the container when it exits"),
    Flag("runtime", "Runtime to use for this container", STRING),
)

CREATE_FLAGS = (*_NETWORK, *_PROCESS, *_FILES, *_LIMITS, *_RIGHTS, *_CONTAINER)
RUN_FLAGS = (
    *CREATE_FLAGS,
    Flag("detach", "Run container in background and print container ID", BOOL, "d"),
    DETACH_KEYS,
    SIG_PROXY,
)
