"""What a notebook shows: thumbnails and places, and nothing of a file as markup."""

import shutil

import vlm2vec_rag as vr
from vlm2vec_rag import samples

EVIL = "<script>alert(1)</script>"


def test_hits_reports_answers_and_libraries_show_themselves(tmp_path):
    files = tmp_path / "files"
    files.mkdir()
    shutil.copy(samples.folder() / "espresso.jpg", files)
    (files / "notes.md").write_text(f"# Violins {EVIL}\n\nThe violin {EVIL}.\n")
    with vr.open(tmp_path / "c", "none") as library:
        report = library.index(files)
        hits = library.search("violin")
        answer = library.ask("violin")
        [image] = library.search("coffee", filter={"kind": "image"})
        shown = [each._repr_html_() for each in (report, hits, hits[0], image, answer, library)]
    assert all(EVIL not in each for each in shown)
    assert "notes.md" in shown[1] and "#char=0," in shown[1] and "&lt;script&gt;" in shown[1]
    assert 'src="data:image/jpeg;base64,' in shown[3]
    assert "notes.md" in shown[4] and "2 items" in shown[5]
