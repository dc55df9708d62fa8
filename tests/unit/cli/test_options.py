"""Flags as spf13/pflag reads them."""

import pytest

from linkspan.cli.failures import UsageError
from linkspan.cli.options import BOOL, FILTER, INT, LIST, STRING, Flag, Parser

FLAGS = (
    Flag("detach", "", BOOL, "d"),
    Flag("interactive", "", BOOL, "i"),
    Flag("tty", "", BOOL, "t"),
    Flag("rm", ""),
    Flag("publish", "", LIST, "p"),
    Flag("name", "", STRING),
    Flag("network", "", STRING, also=("net",)),
    Flag("last", "", INT, "n", "-1"),
    Flag("filter", "", FILTER, "f"),
    Flag("hostname", "", STRING, "h"),
)


def test_flags_of_the_container_are_left_alone() -> None:
    given = Parser(FLAGS, interspersed=False).parse("--rm busybox ls -l --color --rm=false".split())
    assert given.switch("rm")
    assert given.arguments == ["busybox", "ls", "-l", "--color", "--rm=false"]


def test_flags_may_follow_arguments_where_no_container_has_its_own() -> None:
    given = Parser(FLAGS).parse("one -d two --name x".split())
    assert given.arguments == ["one", "two"]
    assert given.switch("detach")
    assert given.text("name") == "x"


@pytest.mark.parametrize("words", ["-it", "-i -t", "-it=true", "--interactive --tty", "-i=1 -t=T"])
def test_switches_can_be_joined(words: str) -> None:
    given = Parser(FLAGS).parse(words.split())
    assert given.switch("interactive")
    assert given.switch("tty")


@pytest.mark.parametrize(
    "words", ["-p8080:80", "-p 8080:80", "-p=8080:80", "--publish 8080:80", "--publish=8080:80", "-dp8080:80", "-dip 8080:80"]
)
def test_value_of_a_short_flag(words: str) -> None:
    assert Parser(FLAGS).parse(words.split()).many("publish") == ["8080:80"]


def test_other_name_of_a_flag() -> None:
    assert Parser(FLAGS).parse(["--net=host"]).text("network") == "host"


def test_double_dash_ends_the_flags() -> None:
    assert Parser(FLAGS).parse(["-d", "--", "-i", "x"]).arguments == ["-i", "x"]


def test_single_dash_is_an_argument() -> None:
    assert Parser(FLAGS).parse(["-", "x"]).arguments == ["-", "x"]


def test_the_last_one_counts() -> None:
    given = Parser(FLAGS).parse(["--rm", "--rm=false", "--name", "a", "--name=b"])
    assert not given.switch("rm")
    assert given.text("name") == "b"


def test_what_was_not_given() -> None:
    given = Parser(FLAGS).parse([])
    assert not given.switch("rm")
    assert given.text("name") == ""
    assert given.many("publish") == []
    assert given.number("last") == -1
    assert not given.has("last")


def test_filters_are_pairs() -> None:
    assert Parser(FLAGS).parse(["-f", "Status=exited", "-f", "label=a=b"]).many("filter") == [("status", "exited"), ("label", "a=b")]


def test_h_is_help_unless_it_is_a_flag_of_its_own() -> None:
    assert Parser(()).parse(["-h"]).switch("help")
    assert Parser(FLAGS).parse(["-h", "box"]).text("hostname") == "box"


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--foo"], "unknown flag: --foo"),
        (["--foo=bar"], "unknown flag: --foo"),
        (["--interact"], "unknown flag: --interact"),
        (["-x"], "unknown shorthand flag: 'x' in -x"),
        (["-itx"], "unknown shorthand flag: 'x' in -x"),
        (["--name"], "flag needs an argument: --name"),
        (["-p"], "flag needs an argument: 'p' in -p"),
        (["-dp"], "flag needs an argument: 'p' in -p"),
        (["--=x"], "bad flag syntax: --=x"),
        (["---x"], "bad flag syntax: ---x"),
        (["--rm=foo"], 'invalid argument "foo" for "--rm" flag: strconv.ParseBool: parsing "foo": invalid syntax'),
        (["-n", "x"], 'invalid argument "x" for "-n, --last" flag: strconv.ParseInt: parsing "x": invalid syntax'),
        (["-f", "foo"], 'invalid argument "foo" for "-f, --filter" flag: bad format of filter (expected name=value)'),
    ],
)
def test_wrong_flags(words: list[str], message: str) -> None:
    with pytest.raises(UsageError) as caught:
        Parser(FLAGS).parse(words)
    assert str(caught.value) == message
    assert caught.value.status == 125
