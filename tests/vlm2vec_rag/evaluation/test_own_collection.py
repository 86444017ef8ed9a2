"""Measuring a search over one's own collection: questions, places, scores, and the report."""

import json
import math

import pytest
from PIL import Image as PILImage

from vlm2vec_rag.collection import Payload, Point, open_collection
from vlm2vec_rag.errors import EmptyInput, InvalidInput, UnreadableMedia
from vlm2vec_rag.evaluation.collection_report import write_collection_report
from vlm2vec_rag.evaluation.own_collection import METRICS, evaluate_collection
from vlm2vec_rag.evaluation.own_queries import FileLocation, OwnQuery, make_queries, read_queries, write_queries
from vlm2vec_rag.items import Clip, Page, Text
from vlm2vec_rag.retrieval import Retriever


def colour(i):
    return PILImage.new("RGB", (84, 84), (30 * i, 255 - 30 * i, 120))


ITEMS = [
    Page(image=colour(1), page=1, source="/docs/a/manual.pdf", text="Tightening the drive belt\nTurn the screw."),
    Page(image=colour(2), page=2, source="/docs/a/manual.pdf", text="Changing the oil filter\nLet it cool."),
    Page(image=colour(3), page=1, source="/docs/b/report.pdf", text="Annual results\n<script>alert(1)</script>"),
    Page(image=colour(4), page=1, source="/docs/b/manual.pdf", text="Annual results\nRevenue rose."),
    Clip(
        frames=(colour(5), colour(6)),
        times_s=(0.0, 15.0),
        start_s=0.0,
        end_s=30.0,
        source="/docs/talk.mp4",
        text="So. Today we look at how bread is baked at home.",
    ),
    Clip(frames=(colour(7),), times_s=(30.0,), start_s=25.0, end_s=55.0, source="/docs/talk.mp4", text="The oven."),
    Text(text="A recipe for soup with carrots", source="/docs/soup.txt", title="Carrot soup"),
]


@pytest.fixture(scope="module")
def collection(tiny_encoder):
    with open_collection(":memory:", "mine", fingerprint=tiny_encoder.fingerprint) as opened:
        payloads = [Payload.of(item) for item in ITEMS]
        vectors = tiny_encoder.encode_items(ITEMS)
        opened.upsert([Point(id=p.id, payload=p, vector=v) for p, v in zip(payloads, vectors, strict=True)])
        yield opened


@pytest.fixture(scope="module")
def retriever(collection, tiny_encoder):
    return Retriever(collection, tiny_encoder)


@pytest.mark.parametrize(
    ("place", "found", "covers"),
    [
        ("manual.pdf#page=2", FileLocation("/docs/a/manual.pdf", page=2), True),
        ("manual.pdf#page=2", FileLocation("/docs/a/manual.pdf", page=1), False),
        ("a/manual.pdf", FileLocation("/docs/a/manual.pdf", page=7), True),
        ("anual.pdf", FileLocation("/docs/a/manual.pdf", page=7), False),  # not the end of a name
        ("talk.mp4#t=40,50", FileLocation("/x/talk.mp4", start=25, end=55, unit="t"), True),
        ("talk.mp4#t=20,60", FileLocation("/x/talk.mp4", start=0, end=30, unit="t"), False),  # 10 of 30 s
        ("talk.mp4#t=15,60", FileLocation("/x/talk.mp4", start=0, end=30, unit="t"), True),
        ("talk.mp4#t=83", FileLocation("/x/talk.mp4", start=90, end=120, unit="t"), True),  # from then on
        ("notes.txt#char=0,10", FileLocation("/x/notes.txt", start=0, end=10, unit="t"), False),
        ("odd#1.pdf", FileLocation("/x/odd#1.pdf", page=3), True),
        ("odd#1.pdf#page=3", FileLocation("/x/odd#1.pdf", page=3), True),
    ],
)
def test_a_place_counts_as_found(place, found, covers):
    assert FileLocation.parse(place).covers(found) is covers


@pytest.mark.parametrize("place", ["manual.pdf#page=2", "talk.mp4#t=83,97.5", "t.mp4#t=83", "n.txt#char=0,812", "a#b"])
def test_a_place_is_written_as_it_was_read(place):
    assert str(FileLocation.parse(place)) == place


def test_scores_are_those_of_the_ranking(retriever):
    queries = [
        OwnQuery("how is the belt tightened", {"a/manual.pdf#page=1": 1.0}),
        OwnQuery("how is bread baked", {"talk.mp4#t=5,20": 2.0, "soup.txt": 1.0}),
    ]
    result = evaluate_collection(retriever, queries)
    assert result.modes == ("hybrid", "dense", "bm25")
    belt, bread = result.answers["bm25"]
    assert belt.hits[0].place == "/docs/a/manual.pdf#page=1"
    assert belt.scores == dict.fromkeys(METRICS, 1.0)
    assert bread.hits[0].start_s == 0.0
    assert bread.scores["recall@10"] == 0.5
    assert bread.scores["ndcg@5"] == pytest.approx(2 / (2 + 1 / math.log2(3)))
    for mode in result.modes:
        values = [answer.scores["ndcg@10"] for answer in result.answers[mode]]
        assert result.interval(mode, "ndcg@10").mean == pytest.approx(sum(values) / 2)
    apart = result.difference("hybrid", "bm25", "ndcg@10")
    assert apart.mean == pytest.approx(
        result.interval("hybrid", "ndcg@10").mean - result.interval("bm25", "ndcg@10").mean
    )


def test_a_place_found_twice_counts_once(retriever):
    (answer,) = evaluate_collection(
        retriever, [OwnQuery("oven bread baked", {"talk.mp4": 1.0})], modes=["bm25"]
    ).answers["bm25"]
    assert [hit.source for hit in answer.hits] == ["/docs/talk.mp4", "/docs/talk.mp4"]
    assert answer.found == ("/docs/talk.mp4", "")


def test_a_question_about_what_is_not_there_is_left_out(retriever):
    queries = [
        OwnQuery("how is bread baked", {"talk.mp4": 1.0}),
        OwnQuery("what is lost", {"gone.pdf#page=1": 1.0}),
        OwnQuery("which manual", {"manual.pdf": 1.0}),
    ]
    result = evaluate_collection(retriever, queries, modes=["bm25"])
    assert len(result.queries) == 1
    assert result.left_out == [
        "'what is lost': gone.pdf is not in the collection",
        "'which manual': manual.pdf may be /docs/a/manual.pdf or /docs/b/manual.pdf; name more of its path",
    ]
    with pytest.raises(EmptyInput, match=r"none of the 1 questions can be answered.*gone\.pdf is not"):
        evaluate_collection(retriever, queries[1:2])


def test_words_only_are_searched_by_words(collection):
    result = evaluate_collection(Retriever(collection), [OwnQuery("how is bread baked", {"talk.mp4": 1.0})])
    assert result.modes == ("bm25",)


def test_a_first_set_asks_by_headings_that_name_one_place(collection, tmp_path):
    queries = make_queries(collection)
    asked = {query.question: list(query.relevant) for query in queries}
    assert asked == {
        "Tightening the drive belt": ["/docs/a/manual.pdf#page=1"],
        "Changing the oil filter": ["/docs/a/manual.pdf#page=2"],
        "Today we look at how bread is baked at home.": ["/docs/talk.mp4#t=0,30"],
        "Carrot soup": ["/docs/soup.txt#char=0,30"],
    }  # "Annual results" heads two pages
    write_queries(tmp_path / "queries.jsonl", queries)
    assert read_queries(tmp_path / "queries.jsonl") == queries
    assert len(make_queries(collection, limit=2)) == 2
    assert len({next(iter(query.relevant)).split("#")[0] for query in make_queries(collection, limit=3)}) == 3


def test_a_section_of_several_pages_is_one_question(tiny_encoder):
    pages = [
        ("Parts › The engine room", 1),
        ("Parts › The engine room", 2),
        ("Index", 3),
        ("More › The wheel house", 4),
    ]
    items = [Page(image=colour(n), page=n, source="/b.pdf", title=title, text="x") for title, n in pages]
    items.append(Page(image=colour(5), page=9, source="/c.pdf", title="The wheel house", text="x"))
    with open_collection(":memory:", "sections", fingerprint=tiny_encoder.fingerprint) as opened:
        opened.upsert([Point(id=p.id, payload=p) for p in map(Payload.of, items)])
        queries = make_queries(opened)
    assert queries == [OwnQuery("The engine room", {"/b.pdf#page=1": 1.0, "/b.pdf#page=2": 1.0})]


def test_a_collection_without_headings_says_what_to_do(tiny_encoder):
    bare = open_collection(":memory:", "bare", fingerprint=tiny_encoder.fingerprint)
    with bare, pytest.raises(EmptyInput, match=r"no item of the collection 'bare' has a heading.*by hand"):
        make_queries(bare)


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("{", r"line 2: .*Expecting"),
        ('["a"]', r"line 2: expected \{\"question\""),
        ('{"question": " ", "relevant": ["a"]}', r"line 2: expected"),
        ('{"question": "a", "relevant": []}', "line 2: 'relevant' names no place"),
        ('{"question": "a", "relevant": ["x.pdf#page=two"]}', "line 2: 'page=two' in 'x.pdf#page=two' is no place"),
        ('{"question": "a", "relevant": {"x.pdf": 0}}', "line 2: 'x.pdf': 0 is no place with a grade above 0"),
        ('{"question": "a", "relevant": ["#page=2"]}', "line 2: .*names no file"),
    ],
)
def test_a_wrong_line_is_named(tmp_path, line, message):
    path = tmp_path / "queries.jsonl"
    path.write_text('{"question": "fine", "relevant": ["a.pdf#page=1"]}\n' + line)
    with pytest.raises(InvalidInput, match=message):
        read_queries(path)


def test_no_file_and_no_question_are_said(tmp_path):
    with pytest.raises(InvalidInput, match=r"is not there.*--make-queries"):
        read_queries(tmp_path / "nothing.jsonl")
    (tmp_path / "empty.jsonl").write_text("\n\n")
    with pytest.raises(EmptyInput, match="holds no question"):
        read_queries(tmp_path / "empty.jsonl")


class Shelf:
    """A reader whose files are the images above; one of them cannot be opened."""

    def page(self, source, page, *, max_pixels=None):
        if "report" in source:
            raise UnreadableMedia("report.pdf is gone")
        return next(item for item in ITEMS if item.source == source and getattr(item, "page", None) == page)

    def clip(self, source, start_s, end_s, *, frames=None, max_pixels=None):
        return ITEMS[4]


def test_the_report_shows_failures_as_images_and_lets_no_markup_through(retriever, tmp_path):
    queries = [
        OwnQuery("<img src=x onerror=alert(1)>", {"a/manual.pdf#page=2": 1.0}),
        OwnQuery("annual results", {"a/manual.pdf#page=2": 1.0}),
    ]
    result = evaluate_collection(retriever, queries)
    document = write_collection_report(tmp_path / "report.html", result, Shelf()).read_text()
    assert "first hits are wrong" in document
    assert document.count("data:image/jpeg;base64,") >= 3
    assert "<script" not in document
    assert "<img src=x" not in document
    assert "&lt;img src=x onerror=alert(1)&gt;" in document
    assert "Content-Security-Policy" in document
    assert "http://" not in document
    assert "https://" not in document
    saved = json.loads(result.save(tmp_path / "results.json").read_text())
    assert set(saved["summary"]) == {"hybrid", "dense", "bm25"}
    assert len(saved["answers"]) == 2
