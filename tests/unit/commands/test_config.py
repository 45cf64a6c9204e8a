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
    warned = qemu_home("list")
    assert warned.rc == 0
    assert "config.toml" in warned.err
    assert warned.err.endswith("did you mean memory?\n")
    assert qemu_home("config", "unset", "memroy").rc == 0
    assert qemu_home("list").err == ""
    for text in ("memory = ", 'memory = "much"'):
        file.write_text(text)
        broken = qemu_home("list")
        assert broken.rc in (1, 2)
        assert "config.toml" in broken.err
        # Help is there all the same, and so is what repairs it.
        assert "usage: qemu" in qemu_home("help").out
        assert "usage: qemu list" in qemu_home("help", "list").out
    assert qemu_home("config", "set", "memory", "2G").rc == 0
    assert qemu_home("list").rc == 0


def test_what_a_value_is_shown_with(qemu_home):
    qemu_home("config", "set", "memory", "2G")
    file = qemu_home.paths.user_config

    def get(*words):
        return qemu_home("config", "get", *words).out

    assert get("--show-scope", "memory") == "user\t2G\n"
    assert get("memory", "--show-origin", "--show-scope") == (
        f"user\t{file}\t2G\n"
    )
    assert get("--show-origin", "cpus") == "built in\t1\n"
    header = qemu_home("config", "list", "--show-scope").out.split("\n")[0]
    assert header.split() == ["KEY", "VALUE", "SCOPE"]
    header = qemu_home("config", "list", "--show-origin").out.split("\n")[0]
    assert header.split() == ["KEY", "VALUE", "ORIGIN"]


def edit(home, script, *words):
    """Have a sed script edit the file."""
    editor = home.paths.user_config.with_name("editor")
    editor.parent.mkdir(exist_ok=True)
    editor.write_text(f'#!/bin/sh\nexec sed -i "{script}" "$1"\n')
    editor.chmod(0o755)
    environment = {"VISUAL": "", "EDITOR": str(editor)}
    return home("config", "edit", *words, environment=environment)


def test_edit(qemu_home):
    file = qemu_home.paths.user_config
    done = edit(qemu_home, "$ a memory = '2G'")
    assert done.rc == 0, done.err
    assert file.read_text().startswith("# Settings of qemu-cli")
    assert qemu_home("config", "get", "memory").out == "2G\n"
    same = edit(qemu_home, "s/x/x/")
    assert same.err == f"{file}: nothing has changed\n"
    # What is wrong is told, and the text is kept to go on with.
    for wrong in ("memroy = 1", "memory = 'much'", "x", "list.colour = 1"):
        refused = edit(qemu_home, f"$ a {wrong}")
        assert refused.rc == 2, wrong
        assert "config.toml.draft; 'qemu config edit' goes on" in refused.err
        assert qemu_home("config", "get", "memory").out == "2G\n"
        again = edit(qemu_home, "$ d")
        assert "going on with your text" in again.err
        assert again.err.endswith("nothing has changed\n")
    # A file that can't be read is repaired so, too.
    file.write_text("memory = \n")
    assert edit(qemu_home, "s/=.*/= '3G'/").rc == 0
    assert qemu_home("config", "get", "memory").out == "3G\n"


def test_the_default_of_an_option(qemu_home):
    assert qemu_home("config", "set", "list.format", "csv").rc == 0
    assert qemu_home("config", "set", "list.columns", "name,state").rc == 0
    assert qemu_home("list").out == "name,state\n"
    assert qemu_home("list", "--columns", "name").out == "name\n"
    assert qemu_home("list", "-fjson").json == []
    assert qemu_home("-c", "list.format=json", "list").json == []
    rows = qemu_home("config", "list", "-f", "json").json
    (row,) = [row for row in rows if row["key"] == "list.format"]
    assert row["value"] == "csv"
    assert row["doc"] == "the default of --format of 'qemu list'"
    assert qemu_home("config", "get", "list.format").out == "csv\n"
    assert qemu_home("config", "get", "list.sort").rc == 3
    qemu_home("config", "set", "config.list.format", "value")
    qemu_home("config", "set", "config.list.columns", "key")
    assert "list.sort\n" not in qemu_home("config", "list").out
    environment = {"QEMU_CLI_CONFIG_CONFIG_LIST_SORT": "-key"}
    first = qemu_home("config", "list", environment=environment).out
    assert first.startswith("template.show\n")


def test_a_value_that_looks_like_an_option(qemu_home):
    assert qemu_home("config", "set", "list.sort", "-name", "--user").rc == 0
    assert qemu_home("config", "get", "list.sort").out == "-name\n"
    assert qemu_home("config", "set", "core.pager", "--").rc == 2


def test_a_default_that_is_none(qemu_home):
    for key, value, said in (
        ("list.colour", "red", "'qemu list' has no option --colour"),
        ("delete.yes", "yes", "--yes can have no default"),
        ("create.accel", "hvf", "create.accel: "),
        ("create.memory", "much", "create.memory: "),
        ("create.dry-run", "maybe", "neither yes nor no"),
        ("list.filter", "a b", "not 3 words"),
        ("lsit.format", "json", "did you mean list.format"),
    ):
        refused = qemu_home("config", "set", key, value)
        assert refused.rc == 2, key
        assert said in refused.err, key
        if not said.startswith("did"):
            # The same from a file, named, as soon as the command is run.
            file = qemu_home.paths.user_config
            file.parent.mkdir(exist_ok=True)
            file.write_text(f'{key} = "{value}"\n')
            command = key.partition(".")[0]
            late = qemu_home(command, *["x"] * (command != "list"))
            assert late.rc == 2
            assert str(file) in late.err
            file.unlink()
