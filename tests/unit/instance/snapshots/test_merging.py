"""Which layers are merged, and in which direction."""

from pathlib import Path

import msgspec

from qemu_cli.instance.snapshots.layers import LayerFile, Layers
from qemu_cli.instance.snapshots.merging import kept, merges

HERE = Path("/i/web")


def layer(
    name: str,
    below: str | None = None,
    *,
    size: int = 1,
    tags: tuple[str, ...] = (),
    **other: object,
) -> LayerFile:
    made = LayerFile(
        HERE / name,
        "disk0",
        "qcow2",
        100,
        size,
        below and HERE / below,
        below,
        "qcow2" if below else None,
        frozenset(tags),
    )
    return msgspec.structs.replace(made, **other)


def some(*files: LayerFile, named: str, users: str | None = None) -> Layers:
    return Layers(
        HERE,
        {each.file: each for each in files},
        frozenset(HERE / name for name in named.split()),
        {HERE / users: ("clone",)} if users else {},
    )


def done(layers: Layers) -> list[tuple[str, str, str, str]]:
    """Kind, top, the run, and what goes."""
    return [
        (
            merge.kind,
            merge.top.file.name,
            " ".join(each.file.name for each in merge.run),
            " ".join(each.file.name for each in merge.gone),
        )
        for merge, _ in merges(layers)
    ]


def stays(layers: Layers) -> dict[str, str]:
    return {each.file.name: why for each, why in kept(layers).items()}


def test_a_small_overlay_is_committed() -> None:
    layers = some(layer("a", size=9), layer("b", "a", size=2), named="b")
    assert done(layers) == [("commit", "b", "a", "b")]
    after = merges(layers)[0][1]
    assert after.named == {HERE / "a"}
    assert set(after.files) == {HERE / "a"}


def test_variables_are_never_committed() -> None:
    layers = some(
        layer("a", size=9, id="nvram"),
        layer("b", "a", size=2, id="nvram"),
        named="b",
    )
    assert done(layers) == [("pull", "b", "a", "a")]


def test_a_large_overlay_takes_in_what_is_below() -> None:
    layers = some(
        layer("p"), layer("a", "p", size=2), layer("b", "a", size=9), named="b"
    )
    layers = layers.naming(layers.named | {HERE / "p"})
    assert done(layers) == [("pull", "b", "a", "a")]
    after = merges(layers)[0][1]
    assert after.chain(HERE / "b") == (HERE / "b", HERE / "p")


def test_a_run_is_merged_at_once() -> None:
    layers = some(
        layer("a", size=9),
        layer("b", "a"),
        layer("c", "b"),
        layer("d", "c"),
        named="d",
    )
    assert done(layers) == [("commit", "d", "c b a", "d c b")]


def test_what_stands_on_a_committed_one_goes_over() -> None:
    layers = some(
        layer("a", size=9), layer("b", "a"), layer("c", "b"), named="b c"
    )
    assert done(layers) == [("commit", "b", "a", "b")]
    after = merges(layers)[0][1]
    assert after.named == {HERE / "a", HERE / "c"}
    assert after.files[HERE / "c"].below == HERE / "a"


def test_several_children() -> None:
    layers = some(
        layer("a", size=9),
        layer("b", "a", size=3),
        layer("c", "a", size=2),
        named="b c",
    )
    assert done(layers) == [("pull", "b", "a", ""), ("commit", "c", "a", "c")]


def test_several_runs_that_join() -> None:
    layers = some(
        layer("p"),
        layer("s", "p", size=9),
        layer("m", "s", size=9),
        layer("b", "m", size=9),
        layer("c", "s", size=99),
        named="p b c",
    )
    assert done(layers) == [
        ("pull", "c", "s", ""),
        ("pull", "b", "m s", "m s"),
    ]


def test_snapshots_inside_hold_what_is_below() -> None:
    layers = some(
        layer("a"),
        layer("b", "a"),
        layer("c", "b", tags=("t",)),
        layer("d", "a"),
        named="c d",
    )
    assert done(layers) == []
    assert stays(layers) == {
        "a": "the internal snapshots 't' in c need it",
        "b": "the internal snapshots 't' in c need it",
    }


def test_snapshots_inside_of_what_nobody_names() -> None:
    layers = some(layer("a", tags=("t",)), layer("b", "a"), named="b")
    assert done(layers) == []
    assert list(stays(layers)) == ["a"]


def test_what_others_stand_on() -> None:
    layers = some(layer("a"), layer("b", "a"), named="b", users="a")
    assert done(layers) == []
    assert stays(layers) == {"a": "'clone' stands on a"}


def test_what_is_outside() -> None:
    outside = layer("x", file=Path("/x"))
    layers = some(
        outside,
        layer("a", size=9, below=Path("/x")),
        layer("b", "a"),
        named="b",
    )
    assert done(layers) == [("commit", "b", "a", "b")]
    layers = some(layer("a"), layer("b", "a", file=Path("/b")), named="")
    assert done(layers.naming([Path("/b")])) == []
    assert "outside" in stays(layers.naming([Path("/b")]))["a"]


def test_what_only_an_overlay_has_is_not_committed() -> None:
    for difference in (
        {"has_bitmaps": True},
        {"virtual_size_bytes": 50},
    ):
        layers = some(
            layer("a", size=9), layer("b", "a", **difference), named="b"
        )
        assert done(layers) == [("pull", "b", "a", "a")]


def test_formats() -> None:
    raw = layer("a", size=9, format="raw")
    layers = some(raw, layer("b", "a", backing_format="raw"), named="b")
    assert done(layers) == [("commit", "b", "a", "b")]
    layers = some(layer("a"), layer("b", "a", format="vmdk"), named="b")
    assert done(layers) == []
    layers = some(layer("a"), layer("b", "a", backing_format=None), named="b")
    assert stays(layers) == {"a": "b does not say of which format a is"}
