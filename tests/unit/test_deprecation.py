"""What leaves the API warns first."""

import pytest

from qemu_cli import deprecation
from qemu_cli.deprecation import ApiDeprecationWarning, deprecated, renamed


@deprecated(since="1.2", use="double")
def twice(number: int) -> int:
    """Double it."""
    return 2 * number


def test_a_function_works_and_warns_where_it_is_called() -> None:
    with pytest.warns(ApiDeprecationWarning) as seen:
        assert twice(2) == 4
    (warning,) = seen
    assert str(warning.message) == (
        f"{__name__}.twice is deprecated since API 1.2, and gone in 2.0: "
        "use double"
    )
    assert warning.filename == __file__
    assert twice.__doc__ == "Double it."


def test_a_method_too() -> None:
    class Command:
        @deprecated(since="3.0", use="act")
        def do(self) -> str:
            return "done"

    with pytest.warns(ApiDeprecationWarning, match=r"Command\.do is .* 4\.0"):
        assert Command().do() == "done"


def test_an_old_name_is_the_new_one() -> None:
    find = renamed(
        deprecation.__name__, {"outdated": "deprecated"}, since="1.1"
    )
    with pytest.warns(ApiDeprecationWarning, match=r"outdated.*\.deprecated"):
        assert find("outdated") is deprecated
    with pytest.raises(AttributeError, match="no attribute 'nosuch'"):
        find("nosuch")
