"""HTML and CSV: their words with headings and title, and nothing of what a browser would run or hide."""

from __future__ import annotations

import time
from pathlib import Path

import pytest

from vlm2vec_rag.media import MediaLimits, MediaSettings
from vlm2vec_rag.media.html import decode_html, html_to_markdown
from vlm2vec_rag.media.sniff import sniff
from vlm2vec_rag.media.texts import TextFile

PAGE = """<!DOCTYPE html><html lang=en><head><title>Ship guide –
 Example</title><style>p{color:red}</style><script>alert("scripted")</script></head>
<body><nav><a href=/>Home</a></nav><header><h1>Ship guide</h1></header>
<main><h1>Ship guide</h1>
<p>The <b>boiler</b> drives the_piston, which <a href="http://x">turns</a> the shaft &amp; more.</p>
<h2>Sails</h2><p>Canvas catches<br>the wind.</p><!-- a comment -->
<table><tr><th>part</th><th>mass</th></tr><tr><td>anchor</td><td>300 kg</td></tr></table>
<pre><code># make ship</code></pre><ul><li>one rope<li>two ropes</ul><form><button>Send</button></form>
<noscript>no script</noscript></main><footer>Copyright</footer></body></html>"""


def read(path: Path, **settings: object) -> list:
    file = TextFile(str(path), sniff(path), MediaSettings(**settings), MediaLimits())
    return [file.item(index) for index in range(file.info().items)]


@pytest.mark.parametrize("name", ["guide.html", "guide.HTM", "guide", "guide.txt"])
def test_a_web_page_is_its_words_under_their_headings(tmp_path, name):
    path = tmp_path / name
    path.write_text(PAGE)
    assert (sniff(path).kind, sniff(path).format) == ("text", "html")
    items = read(path)
    title = "Ship guide – Example"
    assert [item.title for item in items] == [f"{title} › Ship guide", f"{title} › Ship guide › Sails"]
    assert items[0].text == "# Ship guide\n\nThe boiler drives the_piston, which turns the shaft & more."
    assert "| anchor | 300 kg |" in items[1].text and "- two ropes" in items[1].text and "# make ship" in items[1].text
    words = " ".join(item.text for item in items)
    assert not any(each in words for each in ("scripted", "Home", "Copyright", "comment", "Send", "color", "no script"))


def test_a_page_without_a_main_part_is_read_whole():
    title, text = html_to_markdown("<title>T</title><p>one</p><div>two<article>a</article><article>b</article></div>")
    assert title == "T" and text.split() == ["one", "two", "a", "b"]
    assert html_to_markdown("bare <i>words</i>")[1] == "bare words\n"


def test_thousands_of_elements_in_one_another_are_no_trouble():
    started = time.process_time()
    _, text = html_to_markdown("<div>" * 20_000 + "deep" + "</div>" * 20_000)
    assert text.strip() == "deep" and time.process_time() - started < 60


@pytest.mark.parametrize("encoding", ["utf-8", "utf-16", "iso-8859-5", "windows-1251", "shift_jis", "gb2312"])
def test_the_encoding_that_a_page_declares(encoding):
    words = {"shift_jis": "日本語の字幕です", "gb2312": "我能吞下玻璃而不伤身体"}.get(encoding, "слово и дело")
    source = f'<html><meta http-equiv="Content-Type" content="text/html; charset={encoding}"><p>{words}</p>'
    found = decode_html(source.encode(encoding))
    assert found.text.lstrip("\ufeff") == source and not found.is_doubtful
    assert words in decode_html(source.replace(encoding, "unheard-of").encode(encoding)).text


CSV = 'name,price,remark\nquince,12500,"sour, with a ""q"""\nplum,7,"two\nlines"\n'


@pytest.mark.parametrize(("name", "separator"), [("a.csv", ","), ("a.csv", ";"), ("a.tsv", "\t")])
def test_a_table_is_its_rows_under_the_row_of_headings(tmp_path, name, separator):
    path = tmp_path / name
    path.write_text("name,price\nquince,12500\nplum,7\n".replace(",", separator))
    [item] = read(path)
    assert sniff(path).format == "csv" and item.title == "name · price"
    assert item.text == f"quince{separator}12500\nplum{separator}7"
    assert path.read_text()[item.start_char :].startswith("quince")


def test_a_long_table_is_cut_between_rows(tmp_path):
    path = tmp_path / "long.csv"
    path.write_text("number,words\n" + "".join(f'{n},"{n} is. a number\nof two lines"\n' for n in range(1000)))
    items = read(path, text_chars=300)
    assert len(items) > 100 and all(item.title == "number · words" and len(item.text) <= 300 for item in items)
    assert all(item.text[0].isdecimal() and item.text.endswith('lines"') for item in items)
    assert "\n".join(item.text for item in items) + "\n" == path.read_text().partition("\n")[2]


def test_a_quote_that_never_ends_and_a_lone_header(tmp_path):
    path = tmp_path / "odd.csv"
    path.write_text('a,b\n"' + "never closed\n" * 1000)
    assert "".join(item.text for item in read(path, text_chars=500)).count("never closed") == 1000
    path.write_text("only,headings\n")
    assert [(item.title, item.text) for item in read(path)] == [("only · headings", "only,headings")]
