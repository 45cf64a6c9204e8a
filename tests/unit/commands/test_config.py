"""``qemu config`` as users meet it."""


def test_set_get_unset(qemu_home):
    result = qemu_home("config", "set", "memory", "2G")
    assert result.rc == 0
    assert result.err.endswith("config.toml: memory = 2G\n")
    assert qemu_home("config", "get", "memory").out == "2G\n"
    assert qemu_home("config", "unset", "memory").rc == 0
    assert qemu_home("config", "get", "memory").out == "1G\n"
    assert qemu_home("config", "unset", "memory").rc == 3


def test_list_says_where_a_value_comes_from(qemu_home):
    qemu_home("config", "set", "memory", "2G")
    rows = qemu_home("-c", "cpus=3", "config", "list", "-f", "json").json
    by_key = {row["key"]: row for row in rows}
    assert by_key["memory"]["scope"] == "user"
    assert by_key["memory"]["origin"] == str(qemu_home.paths.user_config)
    assert by_key["cpus"]["scope"] == "command"
    assert by_key["accel"]["scope"] == "default"


def test_what_is_not_there(qemu_home):
    assert qemu_home("config", "get", "memroy").rc == 2
    assert qemu_home("config", "get", "alias.up").rc == 3
    assert qemu_home("config", "set", "memory", "much").rc == 2


def test_a_broken_file_can_be_repaired(qemu_home):
    file = qemu_home.paths.user_config
    file.parent.mkdir(exist_ok=True)
    file.write_text("memroy = 1\n")
    broken = qemu_home("list")
    assert broken.rc == 2
    assert "config.toml" in broken.err
    assert "did you mean memory?" in broken.err
    assert qemu_home("config", "unset", "memroy").rc == 0
    assert qemu_home("list").rc == 0
