"""Instructions of `docker import --change`."""

import pytest

from linkspan.errors import InvalidInput
from linkspan.images.changes import apply_changes


@pytest.mark.parametrize(
    ("changes", "config"),
    [
        ([], {}),
        (['CMD ["httpd", "-f"]'], {"Cmd": ["httpd", "-f"]}),
        (["cmd httpd -f"], {"Cmd": ["/bin/sh", "-c", "httpd -f"]}),
        (['ENTRYPOINT ["/init"]'], {"Entrypoint": ["/init"]}),
        (["ENV A=1 B='2 3'", "ENV A=4"], {"Env": ["B=2 3", "A=4"]}),
        (["ENV A the rest of it"], {"Env": ["A=the rest of it"]}),
        (["EXPOSE 80 53/UDP"], {"ExposedPorts": {"80/tcp": {}, "53/udp": {}}}),
        (['LABEL a=1 "b c"=2'], {"Labels": {"a": "1", "b c": "2"}}),
        (["STOPSIGNAL SIGINT"], {"StopSignal": "SIGINT"}),
        (["USER www-data"], {"User": "www-data"}),
        (["WORKDIR /srv"], {"WorkingDir": "/srv"}),
        (['VOLUME ["/a", "/b"]', "VOLUME /c"], {"Volumes": {"/a": {}, "/b": {}, "/c": {}}}),
    ],
)
def test_an_instruction_changes_the_configuration(changes: list[str], config: dict[str, object]) -> None:
    assert apply_changes(changes) == config


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ("RUN ls", "RUN is not a valid change command"),
        ("", " is not a valid change command"),
        ("CMD", "CMD requires at least one argument"),
        ("ENV A", "ENV must have two arguments"),
        ("ENV A=1 B", 'Syntax error - can\'t find = in "B". Must be of the form: name=value'),
        ("EXPOSE 80/icmp", "invalid proto: icmp"),
        ("EXPOSE 0", 'invalid port specification: "0/tcp"'),
        ("STOPSIGNAL SIGNOTHING", "Invalid signal: SIGNOTHING"),
        ("LABEL a='1", '"a=\'1": No closing quotation'),
    ],
)
def test_a_wrong_instruction_is_refused(change: str, words: str) -> None:
    with pytest.raises(InvalidInput) as refused:
        apply_changes([change])

    assert str(refused.value) == words
