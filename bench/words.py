"""What the report says besides its figures."""

HEAD = """# Benchmarks

linkspan beside a real dockerd, written by `make bench`: both engines on one machine at the same time, each in a network
namespace of its own, the same docker client, the same image (linkspan's built-in busybox), taking turns; the first turn warms up
and is not counted. Figures are medians, in brackets the lowest and the highest. A ratio above 1 means that linkspan is better.
*Asked* is what the project demands of the figure in the same run. The dockerd is Debian's; `DOCKERD=FILE make bench` compares with
another one.
"""

NOTES = {
    "Containers": """Every command includes the docker client, whose start alone is the line "the client alone"; the engine's
answers are measured without it, each on a new connection to the socket. "20 at once" starts twenty clients.""",
    "Published ports": """dockerd publishes a port for IPv4 and IPv6, with a process for each, and takes minutes for a thousand: that
is measured once.""",
    "Many containers": """All containers run `sleep`. dockerd runs with `--live-restore`, without which it would end them at its
restart; an engine serves as soon as it lists its containers. Memory is the proportional set size (PSS) of all processes concerned:
of the engine linkspan, or dockerd and containerd together; of a container its conmon or containerd-shim.""",
    "Networks": """Both commands include the docker client, twice. linkspan deletes the bridge after the answer. dockerd's
pools hold about thirty networks, so that 500 are linkspan's alone.""",
    "Names": """Questions for one another's names, asked in the containers' namespaces by one small program; both engines answer from
their memory and ask nobody. dockerd's answers come from dockerd itself, whose memory is in the section above.""",
    "Traffic": """The outside is a namespace on a veth cable to the engine's host, so that no wire hides the cost of the way inside:
what is a third of a round trip here is nothing on a network of 100 µs. Throughput is one TCP stream of iperf3; a round trip is one
byte there and one back; connections are made one after another by one caller. For the latter dockerd runs with
`--userland-proxy=false` and bears a fifth of the other ports, half of them before the port in its chain of rules: with its proxies,
or for 5,000 ports, it would take too long to start. Both favours are dockerd's.""",
}

PROFILE = """## Where the time of one run goes

`docker run --rm -p 8080:80 busybox true`, median of {rounds} runs, {total:.0f} ms each with a clock on every function of the engine.
At each moment one thing counts: the innermost function of the engine that is running; else the youngest process that it started;
else what it waits for; else the time is the client's. Steps of less than 0.1 ms are left out.
"""

GROWTH = """The lines are medians, the shades hold the middle half of the figures. Lines against networks come with user-defined
networks: `python -m bench --only networks` measures every engine that has them."""
