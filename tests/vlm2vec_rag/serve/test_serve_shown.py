"""What pages are made of: marked words, rendered answers, breakable names, jobs that say how far they are."""

import pytest

from vlm2vec_rag.media import Word
from vlm2vec_rag.serve.jobs import Job, Jobs, Stopped, shown_reason
from vlm2vec_rag.serve.markdown import render
from vlm2vec_rag.serve.marks import box, marked, matching, quoted
from vlm2vec_rag.serve.present import address, clock
from vlm2vec_rag.serve.rendering import breakable
from vlm2vec_rag.serve.search_state import typed_filter


def words(text):
    """Words on one line of a page, each a hundredth wide."""
    return [Word(word, at / 100, 0.1, (at + 1) / 100, 0.2) for at, word in enumerate(text.split())]


def test_words_are_marked_in_all_their_forms_and_the_text_stays_whole():
    text = "Charts & a chart\n<b>of</b> trees"
    pieces = marked(text, "the chart")
    assert "".join(piece for piece, _ in pieces) == text
    assert [piece for piece, is_mark in pieces if is_mark] == ["Charts", "chart"]
    assert marked(text, "") == [(text, False)] and marked("", "chart") == []


def test_a_quotation_is_found_where_its_words_follow_each_other():
    page = words(
        "the pie has slices Default is zero. How far out should the slice(s) stick from the centre of the pie?"
    )
    found = quoted(page, "…How far out should the slice(s) stick from the…")
    assert " ".join(word.text for word in found) == "How far out should the slice(s) stick from the"
    assert matching(page, "a pie")[0].text == "pie" and len(matching(page, "a pie")) == 2
    # where nothing follows, the words that both share
    assert [word.text for word in quoted(page, "zero slices")] == ["slices", "zero.", "slice(s)"]


def test_a_mark_stays_on_the_page():
    x, y, width, height = box(Word("edge", 0.0, 0.999, 0.5, 1.0))
    assert x == 0 and y + height == pytest.approx(1) and x + width == pytest.approx(0.502)


def test_an_answer_is_markdown_whose_only_links_are_citations():
    asked = []

    def link(number, sentence):
        asked.append((number, sentence))
        return f"/open?n={number}" if number < 3 else ""

    html = render(
        "It grew. By **nine** percent [1, 2].\n\n- “in fifths” [2]\n- [9] `a [1]`\n\n| a |\n|-|\n| b [1] |", link
    )
    assert html.count('class="cite"') == 4 and "<strong>nine</strong>" in html and "<table>" in html
    assert asked[0] == (1, "By nine percent") and (2, "in fifths") in asked
    assert "[9]" not in html and "<code>a [1]</code>" in html  # a citation without evidence goes, code stays


@pytest.mark.parametrize(
    "text",
    [
        "<script>x</script>",
        "<a href=javascript:x>y</a>",
        "[y](javascript:x)",
        "![y](http://evil/x.png)",
        "<http://evil>",
        "[y][z]\n\n[z]: http://evil",
        "\ue0001\ue000<img src=x>",
        "&lt;img src=x&gt; &#60;b&#62;",
        "```html\n<script>x</script>\n```",
        "<!-- <script>x</script> -->",
    ],
)
def test_nothing_in_an_answer_becomes_a_tag_of_its_own(text):
    import re

    html = render(text, lambda number, sentence: "/open")
    assert set(re.findall(r"<(\w+)", html)) <= {"p", "pre", "code"}
    assert "<img" not in html and "<b>" not in html


def test_a_name_breaks_after_its_separators_and_is_escaped():
    assert str(breakable("annual-report_final.pdf")) == "annual-<wbr>report_<wbr>final.<wbr>pdf"
    assert "<b>" not in str(breakable("<b>x</b>.pdf"))


def test_times_and_addresses():
    assert [clock(each) for each in (0, 83.9, 3723)] == ["0:00", "1:23", "1:02:03"]
    assert address("/search", q="a b&c", kind=("page", "clip"), open="") == "/search?q=a%20b%26c&kind=page&kind=clip"


def test_files_are_named_by_what_the_collection_holds():
    made = typed_filter(kind=("page",), source=["report.pdf", "2026/", "*.mp4", " "])
    assert made.paths == ("*/report.pdf", "*/2026/*", "*.mp4") and made.kinds == ("page",)
    assert typed_filter() is None


def test_reasons_name_files_and_not_where_they_are():
    said = shown_reason("/home/me/secret/a.pdf: cannot be read ('/var/lib/x/y.bin')", "/home/me/secret/a.pdf")
    assert said == "a.pdf: cannot be read ('y.bin')"


def test_a_job_says_how_far_it_is():
    job = Job("files", lambda job: "done")
    job.planned(2, 10)
    job.items_done({"page": 4})
    assert job.share == 0.4 and job.left_s is None  # it has not begun
    job.file_done("/a/b.pdf", "/a/b.pdf: broken")
    assert (job.files["/a/b.pdf"].name, job.files["/a/b.pdf"].error) == ("b.pdf", "broken")
    job.stop()
    with pytest.raises(Stopped):
        job.say("more")


def test_jobs_take_turns_and_old_ones_are_forgotten():
    jobs, ran = Jobs(), []
    made = [jobs.submit(str(number), lambda job: ran.append(job.title) or "done") for number in range(80)]
    for job in made:
        while not job.is_over:
            job.wait(job.version, 1)
    assert ran == [str(number) for number in range(80)] and len(jobs.all()) <= 80
    later = jobs.submit("later", lambda job: "done")
    while not later.is_over:
        later.wait(later.version, 1)
    assert len(jobs.all()) <= 51 and jobs.get(made[0].id) is None and jobs.close()
