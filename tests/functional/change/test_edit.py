"""edit, with an editor that does as it is told."""

import os
from pathlib import Path

from qemu_cli.testing.home import QemuHome, Result
from tests.functional.change.contents import actions, definition, ok


def edit(home: QemuHome, script: str, *, rc: int = 0) -> Result:
    """Edit web with an editor that is a sed script."""
    environment = {"VISUAL": "", "EDITOR": f"sed -i -e '{script}'"}
    result = home("edit", "web", environment=environment)
    assert result.rc == rc, result.err
    return result


def test_edit(web: QemuHome) -> None:
    draft = web.paths.instance("web").draft
    assert "64 → 128" in edit(web, "s/_mib = 64/_mib = 128/").err
    assert definition(web, "web")["machine"]["memory_mib"] == 128
    assert "nothing has changed" in edit(web, "s/none/none/").err
    assert actions(web, "web")[-1] == "edit"
    assert not draft.exists()


def test_edit_keeps_a_text_that_is_wrong(web: QemuHome) -> None:
    paths = web.paths.instance("web")
    before = paths.definition.read_text()
    wrong = edit(web, "s/^uuid/uuuid/", rc=1)
    assert "did you mean 'uuid'" in wrong.err
    assert str(paths.draft) in wrong.err
    assert paths.definition.read_text() == before
    assert "uuuid" in paths.draft.read_text()
    # The next one goes on with it.
    again = edit(web, "s/^uuuid/uuid/;s/_mib = 64/_mib = 65/")
    assert "going on with your text" in again.err
    assert "64 → 65" in again.err
    assert not paths.draft.exists()


def test_a_text_that_is_older_than_the_definition(web: QemuHome) -> None:
    draft = web.paths.instance("web").draft
    edit(web, "s/^uuid/uuuid/", rc=1)
    ok(web("set", "web", "cpus=2"))
    refused = edit(web, "s/^uuuid/uuid/", rc=4)
    assert "was changed after your text" in refused.err
    assert "uuuid" in draft.read_text()
    assert definition(web, "web")["machine"]["cpus"] == 2
    os.utime(draft)
    edit(web, "s/^uuuid/uuid/")
    assert definition(web, "web")["machine"]["cpus"] == 1


def test_edit_repairs_a_broken_definition(web: QemuHome) -> None:
    path = web.paths.instance("web").definition
    good = path.read_text()
    path.write_text(good + "what is this\n")
    assert "understood again" in edit(web, "/what is this/d").err
    assert path.read_text() == good


def test_edit_notices_another_change(web: QemuHome, tmp_path: Path) -> None:
    editor = tmp_path / "editor"
    editor.write_text(
        f"#!/bin/sh\nsed -i 's/_mib = 64/_mib = 65/' \"$1\"\n"
        f"{web.executable} set web cpus=2\n"
    )
    editor.chmod(0o755)
    environment = {"VISUAL": str(editor)}
    lost = web("edit", "web", environment=environment)
    assert lost.rc == 4
    assert "somebody else" in lost.err
    machine = definition(web, "web")["machine"]
    assert (machine["cpus"], machine["memory_mib"]) == (2, 64)
    assert "_mib = 65" in web.paths.instance("web").draft.read_text()


def test_an_editor_that_fails(web: QemuHome) -> None:
    for editor in ("false", "/nonexistent/editor"):
        environment = {"VISUAL": "", "EDITOR": editor}
        failed = web("edit", "web", environment=environment)
        assert failed.rc in (1, 2)
        assert editor in failed.err
        assert not web.paths.instance("web").draft.exists()
