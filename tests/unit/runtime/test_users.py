"""Users and groups, looked up inside a container's root."""

import os
from pathlib import Path

import pytest

from linkspan.errors import InvalidInput
from linkspan.runtime.users import User, resolve_user

PASSWD = """root:x:0:0:root:/root:/bin/sh
web:x:33:34:web:/var/www:/bin/false
42:x:7:7:a name that is a number:/:/bin/sh

damaged
broken:x:many:1::/:
"""
GROUP = "root:x:0:\nweb:x:34:\nextra:x:50:other,web\nmore:x:51:web\nadm:x:4:root\nbroken:x:y:web\n"


@pytest.fixture
def rootfs(tmp_path: Path) -> Path:
    root = tmp_path / "rootfs"
    (root / "etc").mkdir(parents=True)
    (root / "etc/passwd").write_text(PASSWD)
    (root / "etc/group").write_text(GROUP)
    return root


@pytest.mark.parametrize(
    ("user", "expected"),
    [
        ("", User(uid=0, gid=0, groups=(0, 4))),
        ("root", User(uid=0, gid=0, groups=(0, 4))),
        ("0", User(uid=0, gid=0, groups=(0, 4))),
        ("web", User(uid=33, gid=34, groups=(34, 50, 51))),
        ("33", User(uid=33, gid=34, groups=(34, 50, 51))),
        ("web:extra", User(uid=33, gid=50, groups=(50,))),
        ("web:99", User(uid=33, gid=99, groups=(99,))),
        ("1000", User(uid=1000, gid=0, groups=(0,))),
        ("1000:1001", User(uid=1000, gid=1001, groups=(1001,))),
        (":web", User(uid=0, gid=34, groups=(34,))),
        ("42", User(uid=42, gid=0, groups=(0,))),
    ],
)
def test_users_by_name_and_number(rootfs: Path, user: str, expected: User) -> None:
    assert resolve_user(rootfs, user) == expected


def test_added_groups_come_last_and_once(rootfs: Path) -> None:
    assert resolve_user(rootfs, "web", ("more", "77", "adm", "77")).groups == (34, 50, 51, 77, 4)


@pytest.mark.parametrize(
    ("user", "groups", "text"),
    [
        ("nobody", (), "unable to find user nobody: no matching entries in passwd file"),
        ("web:nogroup", (), "unable to find group nogroup: no matching entries in group file"),
        ("web", ("nogroup",), "unable to find group nogroup: no matching entries in group file"),
        ("-1", (), "uids and gids must be in range 0-2147483647"),
        ("2147483648", (), "uids and gids must be in range 0-2147483647"),
        ("web:4294967296", (), "uids and gids must be in range 0-2147483647"),
    ],
)
def test_what_is_not_there_is_said_in_dockers_words(rootfs: Path, user: str, groups: tuple[str, ...], text: str) -> None:
    with pytest.raises(InvalidInput) as refusal:
        resolve_user(rootfs, user, groups)
    assert str(refusal.value) == text


def test_numbers_need_no_files(tmp_path: Path) -> None:
    assert resolve_user(tmp_path, "5:6") == User(uid=5, gid=6, groups=(6,))
    with pytest.raises(InvalidInput):
        resolve_user(tmp_path, "web")


def test_links_are_followed_inside_the_root_only(rootfs: Path, tmp_path: Path) -> None:
    (tmp_path / "outside").write_text("intruder:x:1:1::/:\n")
    (rootfs / "usr").mkdir()
    (rootfs / "etc/passwd").rename(rootfs / "usr/passwd")
    passwd = rootfs / "etc/passwd"
    for target in ("/usr/passwd", "../usr/passwd", "../../../../usr/passwd", "/etc/../usr/./passwd"):
        passwd.symlink_to(target)
        assert resolve_user(rootfs, "web").uid == 33
        passwd.unlink()
    for target in (str(tmp_path / "outside"), "../../outside"):
        passwd.symlink_to(target)
        with pytest.raises(InvalidInput):
            resolve_user(rootfs, "intruder")
        passwd.unlink()


def test_a_loop_of_links_ends(rootfs: Path) -> None:
    (rootfs / "etc/passwd").unlink()
    (rootfs / "etc/passwd").symlink_to("passwd")
    with pytest.raises(InvalidInput, match="unable to find user web"):
        resolve_user(rootfs, "web")


def test_a_pipe_in_place_of_the_file_does_not_stop_the_engine(rootfs: Path) -> None:
    (rootfs / "etc/passwd").unlink()
    os.mkfifo(rootfs / "etc/passwd")
    with pytest.raises(InvalidInput, match="unable to find user web"):
        resolve_user(rootfs, "web")
