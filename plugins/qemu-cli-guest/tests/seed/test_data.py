"""What is in a seed, and what is refused; nothing runs."""

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st
from qemu_cli_guest.seed import data, iso
from qemu_cli_guest.seed.options import hostname

from qemu_cli.errors import QemuCliError, UsageError

KEY = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIJQ ann@home: # not a comment"


@settings(deadline=None)  # pycdlib takes its time on a busy machine
@given(
    st.dictionaries(
        st.sampled_from(iso.NAMES), st.binary(max_size=5000), max_size=4
    )
)
def test_what_goes_in_comes_out(files):
    assert iso.read(iso.write(files)) == files


@pytest.mark.parametrize("image", [b"", b"nonsense" * 9000])
def test_what_is_no_seed(image):
    with pytest.raises(QemuCliError, match="no seed of ours"):
        iso.read(image)


@pytest.mark.parametrize(
    "text",
    [
        "#cloud-config\nusers: []\n",
        "#cloud-config\n# nothing\n",
        "\n#cloud-config\n",
        "#!/bin/sh\nexit 1: [\n",
        "#include\nhttps://example.org/more\n",
        "## template: jinja\n#cloud-config\n{% if x %}a: 1{% endif %}\n",
        'Content-Type: multipart/mixed; boundary="x"\n\n--x\n',
        "#cloud-config-archive\n- type: text/x-shellscript\n",
    ],
)
def test_user_data(text):
    data.check_user_data(text.encode(), "mine")


def test_user_data_that_is_compressed():
    data.check_user_data(b"\x1f\x8b\x08\xff", "mine")


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (b"", "its first line is ''"),
        (b"users: []\n", "its first line is 'users: "),
        (b"# cloud-config\n", "cloud-init would ignore it"),
        (b"#cloud-config\n- a\n", "mine: it is no mapping"),
        (b"#cloud-config\na: 1\nb: [\n", r"mine:4: "),
        (b"#cloud-config\na: \x00\n", "mine"),
        (b"#cloud-config\na: \xff\n", "no UTF-8 text, at byte 17"),
    ],
)
def test_user_data_that_is_none(text, said):
    with pytest.raises(UsageError, match=said):
        data.check_user_data(text, "mine")


def read(content):
    assert content.startswith(b"#cloud-config\n")
    return yaml.safe_load(content)


def test_a_user_of_ones_own():
    (user,) = read(data.user_data("ann", [KEY], None))["users"]
    assert user["name"] == "ann"
    assert user["ssh_authorized_keys"] == [KEY]
    assert user["lock_passwd"] is True
    assert "passwd" not in user


def test_a_user_with_a_password():
    found = read(data.user_data("ann", [], "$6$salt$hash"))
    (user,) = found["users"]
    assert (user["passwd"], user["lock_passwd"]) == ("$6$salt$hash", False)
    assert found["ssh_pwauth"] is True


def test_the_user_of_the_image():
    found = read(data.user_data(None, [KEY], "$6$salt$hash"))
    assert found == {
        "ssh_authorized_keys": [KEY],
        "password": "$6$salt$hash",
        "chpasswd": {"expire": False},
        "ssh_pwauth": True,
    }


def test_nothing_said_of_a_user():
    assert data.user_data(None, [], None) == b"#cloud-config\n"


def test_meta_data():
    known = {"public-keys": ["a"], "instance-id": "old"}
    found = yaml.safe_load(data.meta_data(known, "new", "web"))
    assert found == {
        "public-keys": ["a"],
        "instance-id": "new",
        "local-hostname": "web",
    }
    assert "local-hostname" not in yaml.safe_load(
        data.meta_data({}, "new", None)
    )


@pytest.mark.parametrize(
    ("name", "expected"),
    [("web", "web"), ("web_1.x", "web-1-x"), ("_", "guest")],
)
def test_the_name_of_a_guest(name, expected):
    assert hostname(name) == expected
