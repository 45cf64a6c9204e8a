import pytest

from qemu_cli.suggest import did_you_mean, nearest

WORDS = ("start", "shutdown", "list", "snapshot", "version")


@pytest.mark.parametrize(
    ("word", "first"),
    [("strat", "start"), ("shut", "shutdown"), ("lst", "list")],
)
def test_the_nearest_comes_first(word, first):
    assert nearest(word, WORDS)[0] == first


def test_nothing_is_near():
    assert nearest("xyzzy", WORDS) == []
    assert nearest("", WORDS) == []
    assert did_you_mean("xyzzy", WORDS) is None


def test_a_hint():
    assert did_you_mean("strat", WORDS) == "did you mean start?"
