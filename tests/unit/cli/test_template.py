"""Go's text/template, as --format is used."""

from typing import Any

import pytest

from linkspan.cli.template import Template
from linkspan.cli.template_parse import TemplateError

VALUE: dict[str, Any] = {
    "Name": "/web",
    "State": {"Running": True, "Pid": 12, "Error": ""},
    "NetworkSettings": {
        "IPAddress": "172.17.0.2",
        "Ports": {"80/tcp": [{"HostIp": "0.0.0.0", "HostPort": "8080"}], "443/tcp": None},
    },
    "Config": {"Env": ["A=1", "B=2"], "Labels": {"com.example.k": "v"}, "Cmd": None},
    "Empty": [],
    "Label": lambda name: {"a": "1"}.get(name, ""),
}


@pytest.mark.parametrize(
    ("source", "text"),
    [
        ("plain", "plain"),
        ("{{.Name}}", "/web"),
        ("{{.NetworkSettings.IPAddress}}", "172.17.0.2"),
        ("{{ .State.Running }} {{.State.Pid}}", "true 12"),
        ("{{.Config.Env}}", "[A=1 B=2]"),
        ("{{.Config.Labels}}", "map[com.example.k:v]"),
        ("{{.Config.Cmd}}", "<no value>"),
        ("{{json .State}}", '{"Running":true,"Pid":12,"Error":""}'),
        ("{{json .NetworkSettings.Ports}}", '{"80/tcp":[{"HostIp":"0.0.0.0","HostPort":"8080"}],"443/tcp":null}'),
        ('{{index .Config.Labels "com.example.k"}}', "v"),
        ('{{index .Config.Labels "missing"}}', ""),
        ("{{index .Config.Env 1}}", "B=2"),
        ("{{range .Config.Env}}<{{.}}>{{end}}", "<A=1><B=2>"),
        ("{{range $i, $e := .Config.Env}}{{$i}}={{$e}};{{end}}", "0=A=1;1=B=2;"),
        ("{{range $p, $c := .NetworkSettings.Ports}}{{$p}}{{if $c}}->{{(index $c 0).HostPort}}{{end}} {{end}}", "443/tcp 80/tcp->8080 "),
        ("{{range .Empty}}x{{else}}none{{end}}", "none"),
        ("{{if .State.Running}}up{{else}}down{{end}}", "up"),
        ("{{if .State.Error}}a{{else if .State.Running}}b{{else}}c{{end}}", "b"),
        ("{{if .State.Health}}{{.State.Health.Status}}{{end}}", ""),
        ("{{with .State}}{{.Pid}}{{end}}", "12"),
        ("{{with .State.Error}}x{{else}}fine{{end}}", "fine"),
        ('{{if eq .Name "/web"}}y{{end}}{{if ne .Name "/web"}}n{{end}}', "y"),
        ("{{if and .State.Running (gt .State.Pid 1)}}both{{end}}", "both"),
        ("{{if or .State.Error .State.Running}}one{{end}}", "one"),
        ("{{if not .State.Error}}none{{end}}", "none"),
        ('{{join .Config.Env ", "}}', "A=1, B=2"),
        ('{{join .Config.Env "," | upper | printf "%q"}}', '"A=1,B=2"'),
        ("{{upper .Name}}{{lower .Name}}{{title .Name}}", "/WEB/web/Web"),
        ("{{len .Config.Env}} {{len .Name}}", "2 4"),
        ("{{println .Name}}", "/web\n"),
        ('{{printf "%s %d %v %-6s|%5d" .Name .State.Pid .State.Running .Name 3}}', "/web 12 true /web  |    3"),
        ('{{print "a" 1 2 "b"}}', "a1 2b"),
        ('{{split .Name "/"}}', "[ web]"),
        ("{{slice .Name 1}} {{slice .Name 1 3}} {{truncate .Name 2}}", "web we /w"),
        ("{{pad .Name 1 2}}|", " /web  |"),
        ("{{$x := .Name}}{{$x}}{{$.State.Pid}}", "/web12"),
        ("{{$x := 1}}{{range .Config.Env}}{{$x = .}}{{end}}{{$x}}", "B=2"),
        ("a  {{- .Name -}}  b", "a/webb"),
        ("{{/* nothing */}}x", "x"),
        ('{{"a}}b"}}{{`raw "x"`}}', 'a}}braw "x"'),
        ('{{.Label "a"}}', "1"),
        ("{{true}} {{1.5}} {{-3}}", "true 1.5 -3"),
    ],
)
def test_render(source: str, text: str) -> None:
    assert Template(source).render(VALUE) == text


@pytest.mark.parametrize(
    ("source", "message"),
    [
        ("{{", "template: :1: unclosed action"),
        ("{{.ID", "template: :1: unclosed action"),
        ("{{}}", "template: :1: missing value for command"),
        ("{{.A | }}", "template: :1: missing value for command"),
        ("{{foo .A}}", 'template: :1: function "foo" not defined'),
        ("{{(foo .A).B}}", 'template: :1: function "foo" not defined'),
        ("{{if .A}}", "template: :1: unexpected EOF"),
        ("{{end}}", "template: :1: unexpected {{end}}"),
        ("{{(.A}}", "template: :1: unclosed left paren"),
        ("{{.A)}}", "template: :1: unexpected right paren"),
        ("{{&}}", 'template: :1: unexpected "&" in operand'),
        ('{{"\\q"}}', 'template: :1: bad string "\\q"'),
    ],
)
def test_no_template(source: str, message: str) -> None:
    with pytest.raises(TemplateError) as caught:
        Template(source)
    assert str(caught.value) == message


@pytest.mark.parametrize(
    ("source", "message"),
    [
        ("{{.Nope}}", 'executing "" at <.Nope>: map has no entry for key "Nope"'),
        ("{{.Name.X}}", "can't evaluate field X in /web"),
        ("{{$y}}", 'undefined variable "$y"'),
        ("{{index .Config.Env 9}}", "error calling index"),
        ("{{upper .State.Pid}}", "error calling upper"),
        ("{{.Name 1}}", "can't give argument to non-function /web"),
    ],
)
def test_template_that_does_not_fit(source: str, message: str) -> None:
    with pytest.raises(TemplateError) as caught:
        Template(source).render(VALUE)
    assert message in str(caught.value)
