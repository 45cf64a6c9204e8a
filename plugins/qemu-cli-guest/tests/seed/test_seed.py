"""Seeds of real VMs; the CD is read by a guest."""

import os
import stat
import subprocess
import tomllib
from pathlib import Path

import pytest
import yaml
from passlib.hash import sha512_crypt
from qemu_cli_guest.seed import iso

from qemu_cli.testing.home import QemuHome

USER_DATA = """#cloud-config
packages: [nginx]
write_files:
  - path: /etc/motd
    content: "Grüße\\n"
"""
NETWORK = "version: 2\nethernets: {eth0: {dhcp4: true}}\n"


@pytest.fixture
def create(guest_home, tmp_path):
    """``create(NAME, …) -> Result``; deleted afterwards."""
    made = []

    def create(name, *options, command="create", home=guest_home):
        if home is guest_home:
            made.append(name)
        options = ("--accel", "tcg", "--memory", "64M", *options)
        return home(command, name, *options)

    yield create
    for name in made:
        guest_home("delete", name, "--yes")


@pytest.fixture
def key(tmp_path):
    """A key pair; its private half."""
    file = tmp_path / "id"
    argv = ["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", file]
    subprocess.run(argv, check=True)
    return file


def seed(home, name):
    """The files in an instance's seed, and its mode."""
    file = home.paths.instance(name).directory / "seed.iso"
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    return iso.read(file.read_bytes())


def definition(home, name):
    text = home.paths.instance(name).definition.read_text()
    return tomllib.loads(text)


def ok(result):
    assert result.rc == 0, result.err
    return result


def refused(result, said, rc=2):
    assert result.rc == rc, result.err
    assert said in result.err
    assert "Traceback" not in result.err


@pytest.mark.parametrize("profile", ["q35", "microvm"])
def test_a_guest_reads_it(boot, guest_home, tmp_path, profile, request):
    (tmp_path / "user-data").write_text(USER_DATA)
    (tmp_path / "network-config").write_text(NETWORK)
    # As in clouds, its kernel has no driver for a SATA drive.
    profile = ("--profile", profile)
    guest = boot("seeded_1", "--cloud-init", tmp_path, *profile)
    request.addfinalizer(lambda: guest_home("delete", "seeded_1", "--yes"))
    guest.until(lambda: guest.sh("ls /dev/sr0 2>&1 || true") == "/dev/sr0")
    assert guest.sh("head -c 32774 /dev/sr0 | tail -c 5") == "CD001"
    guest.sh("mkdir -p /cd; mount -t iso9660 -o ro /dev/sr0 /cd")
    assert guest.sh("ls /cd").split() == [
        *("meta-data", "network-config", "user-data"),
    ]
    done = guest.exec("cat", "/cd/user-data")
    assert done.stdout.decode() == USER_DATA
    assert guest.sh("cat /cd/network-config") == NETWORK.strip()
    meta = yaml.safe_load(guest.sh("cat /cd/meta-data"))
    assert meta["instance-id"] == definition(guest_home, guest.name)["uuid"]
    assert meta["local-hostname"] == "seeded-1"
    # What cloud-init looks for: blkid(8)'s label.
    label = guest.sh("dd if=/dev/sr0 bs=1 skip=32808 count=32 2>/dev/null")
    assert label.strip() == "cidata"
    guest.sh("umount /cd")
    ok(guest_home("shutdown", guest.name, "--force"))


def test_a_user(create, guest_home, tmp_path, key):
    secret = tmp_path / "secret"
    secret.write_text("geheim\nsecond line\n")
    options = ("--user", "ann", "--ssh-key", f"{key}.pub")
    options += ("--password-file", secret, "--hostname", "db.example.org")
    result = ok(create("u", *options))
    found = seed(guest_home, "u")
    (user,) = yaml.safe_load(found["user-data"])["users"]
    public = key.with_suffix(".pub").read_text().strip()
    assert user["ssh_authorized_keys"] == [public]
    assert sha512_crypt.verify("geheim", user["passwd"])
    # The host's crypt(3) agrees, and the guest's will.
    argv = ["perl", "-e", "print crypt($ARGV[0], $ARGV[1])"]
    crypted = subprocess.run(
        [*argv, "geheim", user["passwd"]], capture_output=True, text=True
    )
    assert crypted.stdout == user["passwd"]
    meta = yaml.safe_load(found["meta-data"])
    assert meta["local-hostname"] == "db.example.org"
    table = definition(guest_home, "u")["plugin"]["guest"]
    assert table == {"ssh_user": "ann", "ssh_key": str(key)}
    directory = guest_home.paths.instance("u").directory
    told = (directory / "history.jsonl").read_text() + result.out
    told += (directory / "instance.toml").read_text()
    assert "geheim" not in told


def test_a_dry_run_shows_no_secret_and_makes_nothing(
    create, guest_home, tmp_path
):
    secret = tmp_path / "secret"
    secret.write_text("geheim")
    shown = ok(create("d", "--password-file", secret, "--dry-run"))
    assert "seed.iso" in shown.out
    assert "geheim" not in shown.out
    assert "$6$" not in shown.out
    assert not guest_home.paths.instance("d").directory.exists()


def test_the_password_comes_through_a_pipe(guest_home):
    reading, writing = os.pipe()
    os.write(writing, b"geheim\n")
    os.close(writing)
    argv = [guest_home.executable, "create", "p", "--accel", "tcg"]
    argv += ["--password-file", f"/dev/fd/{reading}"]
    try:
        subprocess.run(
            argv,
            check=True,
            env=guest_home.environment,
            pass_fds=[reading],
            capture_output=True,
        )
    finally:
        os.close(reading)
    found = yaml.safe_load(seed(guest_home, "p")["user-data"])
    assert sha512_crypt.verify("geheim", found["password"])
    ok(guest_home("delete", "p", "--yes"))


def test_a_clone_is_another_machine(create, guest_home, tmp_path):
    mine = tmp_path / "mine"
    mine.write_text(USER_DATA)
    ok(create("first", "--cloud-init", mine, "--disk", "1M"))
    ok(create("second", command="create"))
    ok(guest_home("delete", "second", "--yes"))
    ok(guest_home("clone", "first", "second"))
    one, two = (seed(guest_home, name) for name in ("first", "second"))
    assert one["user-data"] == two["user-data"] == USER_DATA.encode()
    meta = yaml.safe_load(two["meta-data"])
    assert meta == {
        "instance-id": definition(guest_home, "second")["uuid"],
        "local-hostname": "second",
    }
    assert meta["instance-id"] not in one["meta-data"].decode()


def test_a_clone_of_a_seed_that_was_spoiled(create, guest_home, tmp_path):
    ok(create("spoiled", "--hostname", "x"))
    file = guest_home.paths.instance("spoiled").directory / "seed.iso"
    file.write_bytes(b"nonsense")
    cloned = ok(guest_home("clone", "spoiled", "of-spoiled"))
    assert "seed.iso: it is no seed of ours" in cloned.err
    ok(guest_home("delete", "of-spoiled", "--yes"))


def test_what_can_not_be(create, tmp_path, key):
    nothing = tmp_path / "nothing"
    nothing.write_text("")
    for options, said in (
        (("--ssh-key", key), "is a private key, which stays with you"),
        (("--ssh-key", nothing), "holds no public key"),
        (("--password-file", nothing), "its first line is no password"),
        (("--user", "Ann"), "is no name of a user"),
        (("--hostname", "a_b"), "is no name of a host"),
        (("--cloud-init", nothing), "cloud-init would ignore it"),
        (("--password-file", tmp_path), "is a directory"),
        (
            ("--cloud-init", nothing, "--user", "ann"),
            "not allowed with argument",
        ),
        (
            ("--definition", nothing, "--user", "ann"),
            "--user",
        ),
    ):
        refused(create("no", *options), said)
    for options in (
        ("--ssh-key", tmp_path / "no.pub"),
        ("--cloud-init", tmp_path / "no"),
        ("--cloud-init", tmp_path),
    ):
        refused(create("no", *options), "there is no", rc=3)


def test_a_hint_names_the_public_half(create, key):
    assert f"--ssh-key {key}.pub" in create("no", "--ssh-key", key).err


def test_a_default_gives_way(create, guest_home, tmp_path, key):
    mine = tmp_path / "mine"
    mine.write_text(USER_DATA)
    setting = {"QEMU_CLI_CONFIG_CREATE_SSH_KEY": f"{key}.pub"}
    words = ("create", "--accel", "tcg")
    more = {"environment": setting}
    ok(guest_home(*words, "by-default", **more))
    assert b"ssh-ed25519" in seed(guest_home, "by-default")["user-data"]
    ok(guest_home(*words, "mine", "--cloud-init", mine, **more))
    assert seed(guest_home, "mine")["user-data"] == USER_DATA.encode()
    for name in ("by-default", "mine"):
        ok(guest_home("delete", name, "--yes"))


def test_it_survives_another_name_and_a_move_of_home(create, qemu_home):
    ok(create("before", "--hostname", "x", home=qemu_home))
    ok(qemu_home("rename", "before", "after"))
    moved = qemu_home.directory.with_name(qemu_home.directory.name + "-2")
    qemu_home.directory.rename(moved)
    home = QemuHome(moved)
    try:
        ok(home("start", "after"))
        (cdrom,) = home("disk", "list", "after", "-f", "json").json
        assert Path(cdrom["file"]) == (
            home.paths.instance("after").directory / "seed.iso"
        )
        ok(home("shutdown", "after", "--force", "--timeout", "0"))
    finally:
        home.close()
        moved.rename(qemu_home.directory)


def test_run_takes_it_too(create, guest_home):
    ran = guest_home(
        *("run", "r", "--accel", "tcg", "--memory", "64M", "--rm"),
        *("--hostname", "a_b"),
    )
    refused(ran, "is no name of a host")
