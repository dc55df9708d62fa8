"""Objects that the tests of the API render: a busybox with a published port on the default network."""

from ipaddress import IPv4Address, IPv4Interface, IPv4Network

from linkspan.engine.views import ContainerView, NetworkSeat
from linkspan.model.attachment import Attachment
from linkspan.model.container import Container, NetworkConfig, NetworkMode, Process, Spec, State, Status
from linkspan.model.endpoint import Endpoint
from linkspan.model.image import Image, ImageConfig, Layer
from linkspan.model.network import Network, Subnet
from linkspan.model.publish import Port, PortRequest, Publish

SECOND = 10**9
BORN = 1_700_000_000 * SECOND
"""2023-11-14T22:13:20Z"""

IMAGE = Image(
    id="sha256:" + "a" * 64,
    tags=("busybox:latest",),
    digests=(),
    created=BORN,
    size=1234567,
    architecture="amd64",
    os="linux",
    config=ImageConfig(cmd=("sh",), exposed=(Port(80),), labels={"a": "b"}),
    layers=("sha256:" + "d" * 64,),
    history=(Layer(created=BORN, created_by="ADD file", size=1234567),),
)
NETWORK = Network(
    id="b" * 64,
    name="bridge",
    driver="bridge",
    created=BORN,
    bridge="docker0",
    subnets=(Subnet(subnet=IPv4Network("172.17.0.0/16"), gateway=IPv4Address("172.17.0.1"), range=IPv4Network("172.17.0.0/16")),),
    options={"com.docker.network.bridge.name": "docker0"},
)
CONTAINER = Container(
    id="c" * 64,
    name="web",
    created=BORN,
    spec=Spec(
        process=Process(args=("httpd", "-f", "a b"), env=("PATH=/bin",), open_stdin=True, stdin_once=True),
        network=NetworkConfig(
            mode=NetworkMode(kind="bridge"),
            requests=(PortRequest(port=Port(80), first=8080, last=8080),),
            exposed=(Port(53, "udp"), Port(80)),
        ),
        image=IMAGE.id,
        image_name="busybox",
        cmd=("httpd", "-f", "a b"),
    ),
    state=State(status=Status.RUNNING, pid=42, started=BORN + SECOND),
    sandbox="c" * 64,
    attachments=(Attachment(network=NETWORK.id, name="bridge"),),
    publishes=(Publish(host_ip=IPv4Address(0), host_port=8080, port=Port(80)),),
)
ENDPOINT = Endpoint(
    id="f" * 64,
    network=NETWORK.id,
    sandbox=CONTAINER.id,
    mac="02:42:ac:11:00:02",
    address=IPv4Interface("172.17.0.2/16"),
    gateway=IPv4Address("172.17.0.1"),
    attached=True,
)
VIEW = ContainerView(
    container=CONTAINER,
    seats=(NetworkSeat(attachment=CONTAINER.attachments[0], network=NETWORK, endpoint=ENDPOINT),),
    image=IMAGE,
    sandbox_key="/run/linkspan/netns/cccccccccccc",
    hostname="cccccccccccc",
    files={"hostname": "/h/hostname", "hosts": "/h/hosts", "resolv.conf": "/h/resolv.conf", "log": "/h/log"},
)
