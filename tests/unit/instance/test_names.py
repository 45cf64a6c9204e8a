"""names: what an instance may be called."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from qemu_cli.errors import UsageError
from qemu_cli.instance.names import NAME_MAX, RESERVED, check_name

ALPHABET = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789._-"


@given(
    st.text(ALPHABET, min_size=1, max_size=NAME_MAX).filter(
        lambda name: (
            name[0] not in "._-"
            and name not in RESERVED
            and not name.endswith(".lock")
        )
    )
)
def test_letters_digits_and_a_few_signs(name: str) -> None:
    assert check_name(name) == name


@given(st.text(max_size=100))
def test_what_is_allowed_is_one_harmless_file_name(name: str) -> None:
    try:
        check_name(name)
    except UsageError as error:
        assert str(error).isprintable() or not name.isprintable()
        return
    assert name.isascii()
    assert "/" not in name
    assert name not in (".", "..", "")
    assert not name.startswith((".", "-"))
    assert len(name) <= 64


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("", "the name is empty"),
        ("a/b", "'a/b' can't be a name: '/' is not allowed"),
        ("../etc", "'../etc' can't be a name: '/' is not allowed"),
        ("..", "'..' can't be a name: '.' is not allowed at its start"),
        ("-web", "'-web' can't be a name: '-' is not allowed at its start"),
        ("a b", "'a b' can't be a name: a space is not allowed"),
        ("a\tb", "character U+0009 is not allowed"),
        ("web\n", "character U+000A is not allowed"),
        ("über", "character U+00FC is not allowed"),
        ("веб", "character U+0432 is not allowed"),
        ("a" * 300, f"the name '{'a' * 20}…' is 300 characters long; 64 is"),
        ("all", "'all' is a word of ours, not a name"),
        ("web.lock", "it ends in .lock"),
    ],
)
def test_what_is_wrong_is_said(name: str, message: str) -> None:
    with pytest.raises(UsageError) as caught:
        check_name(name)
    assert message in str(caught.value)
