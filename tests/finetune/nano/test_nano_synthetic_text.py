"""Words to set pages with come from the packages, one by one, in a row, or invented from their letters."""

import gzip
import itertools
from pathlib import Path

import numpy as np
import pytest
from synthetic_text import SOURCES, endless_words, invented_word, read_texts

FILES = {
    "wordnet-base": ("usr/share/wordnet/data.noun", "00006150 03 n 01 parent 0 | an organism that has offspring"),
    "perl-doc": ("usr/share/perl/5.36.0/pod/perl.pod", "=head1 Lists\n\nThe function C<splice> removes B<elements>"),
    "linux-doc-6.1": (
        "usr/share/doc/linux-doc-6.1/Documentation/a/b.rst.gz",
        "Kernel ``modules`` are **loaded** on demand\n======",
    ),
}


@pytest.fixture
def root(tmp_path: Path) -> Path:
    for package, (name, text) in FILES.items():
        path = tmp_path / package / name
        path.parent.mkdir(parents=True)
        path.write_bytes(gzip.compress(text.encode()) if name.endswith(".gz") else text.encode())
    return tmp_path


def test_text_is_read_without_its_markup(root):
    texts = read_texts(root)
    assert [" ".join(words) for words in texts.running] == [
        "an organism that has offspring",
        "Lists The function splice removes elements",
        "Kernel modules are loaded on demand",
    ]
    assert "splice" in texts.words and "parent" not in texts.words


def test_a_missing_package_is_named(root):
    (root / "perl-doc" / FILES["perl-doc"][0]).unlink()
    with pytest.raises(SystemExit, match="no text of perl-doc"):
        read_texts(root)


def test_what_is_told_is_of_all_kinds_and_the_same_for_a_seed(root):
    texts = read_texts(root)
    told, again = (list(itertools.islice(endless_words(texts, np.random.default_rng(3)), 3000)) for _ in range(2))
    assert told == again
    plain = {word.lower().strip(".,;:") for word in told}
    assert {"splice", "offspring", "demand"} <= plain
    known = {word.lower() for words in texts.running for word in words}
    assert any(word.isalpha() and word not in known for word in plain)  # invented


def test_an_invented_word_has_only_letters_that_follow_each_other_in_real_ones(root):
    texts = read_texts(root)
    random = np.random.default_rng(0)
    pairs = {word[at : at + 2] for word in texts.words for at in range(len(word) - 1)}
    for _ in range(50):
        word = invented_word(texts, random)
        assert {word[at : at + 2] for at in range(len(word) - 1)} <= pairs


def test_no_source_is_a_package_that_validates_or_tests():
    from corpus import TEST, VALIDATION

    assert not set(SOURCES) & {*TEST, *VALIDATION}
