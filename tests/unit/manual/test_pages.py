"""``qemu help TOPIC``: pages of Markdown, as text."""

import pytest

from qemu_cli import errors, manual
from qemu_cli.errors import NotFoundError
from qemu_cli.manual import blocks, generated, text
from qemu_cli.settings import SETTINGS


def test_every_page_is_a_topic_and_every_topic_has_a_page():
    assert {page.stem for page in manual.PAGES.glob("*.md")} == {
        *manual.TOPICS
    }
    with pytest.raises(NotFoundError, match="'nothing'"):
        manual.source("nothing")


@pytest.mark.parametrize("topic", manual.TOPICS)
@pytest.mark.parametrize("width", [40, 80, 200])
def test_a_page_is_plain_text_of_the_width(topic, width):
    page = text.render(manual.source(topic), width)
    assert "`" not in page
    assert "```" not in page
    assert "](" not in page
    for line in page.splitlines():
        # What can't be broken, and what stays as it is, may be longer.
        long = len(line) > min(width, 100)
        assert not long or line.startswith("    ") or width == 40


def test_what_the_program_knows_is_filled_in():
    page = text.render(manual.source("config"), 80)
    assert all(f"\n{name}" in page for name in SETTINGS)
    page = text.render(manual.source("exit-codes"), 80)
    assert all(name in page for name in errors.__all__)
    page = text.render(manual.source("files"), 80)
    assert "web/instance.toml" in page
    assert "~/.config/qemu-cli/config.toml" in page


def test_blocks_of_markdown():
    markdown = """\
# Title

Some *text* with `code`
on [two](lines.md).
- one
  more
- two

| a | b |
|---|---|
| x\\|y | z |

```sh
echo hi
```

    as it is
"""
    assert list(blocks.parse(markdown)) == [
        blocks.Heading(1, "Title"),
        blocks.Paragraph("Some *text* with `code` on [two](lines.md)."),
        blocks.Items(("one more", "two")),
        blocks.Table(("a", "b"), (("x\\|y", "z"),)),
        blocks.Code(("echo hi",)),
        blocks.Code(("    as it is",)),
    ]
    assert blocks.bare("Some *text* with `x\\|y` [on](two)") == (
        "Some text with x|y on"
    )


def test_a_part_that_the_program_does_not_have():
    with pytest.raises(KeyError):
        generated.make("nothing")


def test_help_of_a_topic(qemu_home):
    page = qemu_home("help", "exit-codes")
    assert page == qemu_home("help", "exit", "codes")
    assert page.rc == 0
    assert page.out.startswith("EXIT CODES\n\n0 ")


def test_help_finds_by_a_word(qemu_home):
    found = qemu_home("help", "overlay")
    assert found.rc == 0
    assert "  image create " in found.out
    assert "\nTopics\n  snapshots " in found.out
    assert "  list " not in found.out


def test_help_finds_nothing(qemu_home):
    nothing = qemu_home("help", "xyzzy")
    assert nothing.rc == 2
    assert nothing.out == ""
    assert "'xyzzy' is not a qemu command" in nothing.err
    near = qemu_home("help", "lsit")
    assert "did you mean list?" in near.err


def test_help_of_an_alias_is_that_of_its_command(qemu_home):
    qemu_home("config", "set", "alias.ls", "list --state running")
    assert "usage: qemu list" in qemu_home("help", "ls").out
    assert "  ls  list --state running\n" in qemu_home("help", "-a").out


def test_help_all_has_the_topics(qemu_home):
    shown = qemu_home("help", "--all").out
    for topic, line in manual.TOPICS.items():
        assert f"  {topic:10}  {line}\n" in shown
