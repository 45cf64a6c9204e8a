"""Did you mean …?"""

from collections.abc import Iterable


def nearest(word: str, known: Iterable[str]) -> list[str]:
    """Those known words, at most three, that look like a mistyped one.

    The best comes first; a word that ``word`` begins counts as near.
    """
    import difflib  # only a mistake pays for it

    words = sorted(known)
    begun = [each for each in words if word and each.startswith(word)]
    alike = difflib.get_close_matches(word, words, n=3, cutoff=0.6)
    return list(dict.fromkeys(alike + begun))[:3]


def did_you_mean(word: str, known: Iterable[str]) -> str | None:
    """The same as the text of a hint, or None when nothing is near."""
    found = nearest(word, known)
    return f"did you mean {' or '.join(found)}?" if found else None
