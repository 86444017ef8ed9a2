"""What a file is, told by its content: whatever its name says."""

from __future__ import annotations

import os
import socket
from pathlib import Path

import pytest
from handmade_pdfs import make_pdf
from PIL import Image

from vlm2vec_rag.errors import UnreadableMedia, UnsupportedMedia
from vlm2vec_rag.media.sniff import IMAGE_FORMATS, sniff

IMAGES = ["png", "jpeg", "gif", "webp", "tiff", "bmp", "jpeg2000", "avif"]


@pytest.mark.parametrize("name", IMAGES)
def test_images_under_a_wrong_name(tmp_path, name):
    path = tmp_path / "report.pdf"
    Image.new("RGB", (40, 30), "teal").save(path, format=name)
    assert (sniff(path).kind, sniff(path).format) == ("image", name)


def test_every_image_format_that_pillow_may_open_is_known():
    assert {name.lower() for name in IMAGE_FORMATS} == set(IMAGES)


@pytest.mark.parametrize(
    ("head", "name"),
    [
        (b"\x00\x00\x00\x20ftypisom", "mp4"),
        (b"\x00\x00\x00\x08wide\x00\x00\x00\x00mdat", "mp4"),
        (b"\x1a\x45\xdf\xa3\x01\x00", "matroska"),
        (b"RIFF\x00\x00\x00\x00AVI LIST", "avi"),
        (b"OggS\x00\x02", "ogg"),
        (b"FLV\x01\x05", "flv"),
        (b"\x00\x00\x01\xba\x44", "mpeg"),
        ((b"G" + b"\x00\xff" * 93 + b"\x01") * 6, "mpegts"),
        (b"\xff\x00\x01" + (b"G" + b"\x00\xff" * 93 + b"\x01") * 6, "mpegts"),
        ((b"\x00\x01\x02\x03G" + b"\x00\xff" * 93 + b"\x01") * 6, "mpegts"),
    ],
)
def test_videos_by_their_first_bytes(tmp_path, head, name):
    path = tmp_path / "notes.txt"
    path.write_bytes(head)
    assert (sniff(path).kind, sniff(path).format) == ("video", name)


def test_a_pdf_after_the_lines_of_a_mail_gateway(tmp_path):
    made = make_pdf(tmp_path / "a.pdf").read_bytes()
    path = tmp_path / "attachment.dat"
    path.write_bytes(b"From: printer\r\n\r\n" + made)
    assert sniff(path).kind == "pdf"


@pytest.mark.parametrize(
    "words",
    ["plain", "Größe", "日本語", "GGGGG" * 500, "a < b && <svg> is a tag", "%PDF is a format", "\x1b[1mbold\x1b[0m"],
)
def test_text_is_what_reads_as_text(tmp_path, words):
    path = tmp_path / "a.log"
    path.write_text(words, encoding="utf-8")
    assert (sniff(path).kind, sniff(path).format) == ("text", "text")


@pytest.mark.parametrize("name", ["invoice.pdf", "photo.JPG", "talk.mp4"])
@pytest.mark.parametrize(
    ("words", "holds"),
    [
        ('{"error": "denied"}', "JSON"),
        ("Not Found", "text"),
        ("<!DOCTYPE html><html><body>404</body></html>", "a web page"),
        ("\ufeff  <html>\n<title>Sign in</title>", "a web page"),
        ("<?xml version='1.0'?><Error><Code>AccessDenied</Code></Error>", "XML"),
        ("Доступ запрещён: войдите в систему", "text"),
    ],
)
def test_an_error_page_under_the_name_of_a_file_is_no_file(tmp_path, name, words, holds):
    path = tmp_path / name
    path.write_text(words, encoding="cp1251" if "Д" in words else "utf-8")
    suffix = path.suffix.lower()
    with pytest.raises(UnreadableMedia, match=rf'is named \{suffix} and holds {holds}, not an? \w+ \(it begins "'):
        sniff(path)


def test_typescript_and_text_without_a_name_are_text(tmp_path):
    for name in ("main.ts", "README", "data.json"):
        (tmp_path / name).write_text('{"a": 1}')
        assert sniff(tmp_path / name).kind == "text"


@pytest.mark.parametrize("junk", [b"junk" * 100, b"HTTP/1.1 200 OK\r\nX: y\r\n\r\n" * 100, bytes(range(256)) * 20])
def test_a_pdf_with_junk_before_its_header_is_a_pdf(tmp_path, junk):
    path = tmp_path / "a.pdf"
    path.write_bytes(junk + make_pdf(tmp_path / "b.pdf").read_bytes())
    assert sniff(path).kind == "pdf"


def test_a_text_that_speaks_of_pdf_is_text(tmp_path):
    path = tmp_path / "format.md"
    path.write_text("# The format\n\nA file begins with\n\n    %PDF-1.4\n    1 0 obj\n")
    assert sniff(path).kind == "text"


def test_markdown_is_text_with_that_suffix(tmp_path):
    (tmp_path / "README.MD").write_text("# Title")
    assert sniff(tmp_path / "README.MD").format == "markdown"


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"#EXTM3U\n#EXT-X-STREAM-INF\nhttp://evil.example/a.m3u8", "playlist; give the videos themselves"),
        (b"ffconcat version 1.0\nfile /etc/passwd", "playlist"),
        (b'<?xml version="1.0"?><MPD xmlns="urn:mpeg:dash"/>', "playlist"),
        (b"version https://git-lfs.github.com/spec/v1\noid", "Git LFS pointer, not the file itself; run: git lfs pull"),
        (b"%!PS-Adobe-3.0", "PostScript; convert it with ps2pdf"),
        (b"ID3\x04\x00\x00", "audio; only videos with an image"),
        (b"RIFF\x00\x00\x00\x00WAVEfmt ", "audio"),
        (b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1" + bytes(99), "file of Microsoft Office that holds no text"),
        (bytes(range(256)) * 9, r"no known kind \(it starts with 00 01 02"),
        (bytes(5000), "no known kind"),
    ],
)
def test_what_no_reader_takes_is_named_with_a_way_out(tmp_path, data, message):
    path = tmp_path / "film.mp4"
    path.write_bytes(data)
    with pytest.raises(UnsupportedMedia, match=rf"film.mp4: is .*{message}"):
        sniff(path)


def test_missing_empty_and_folder(tmp_path):
    with pytest.raises(UnreadableMedia, match=r"gone.pdf: no such file; check the path"):
        sniff(tmp_path / "gone.pdf")
    (tmp_path / "void.pdf").touch()
    with pytest.raises(UnreadableMedia, match=r"void.pdf: is empty \(0 bytes\)"):
        sniff(tmp_path / "void.pdf")
    with pytest.raises(UnreadableMedia, match="is a folder, expected a file"):
        sniff(tmp_path)
    with pytest.raises(UnreadableMedia, match="cannot be opened"):
        sniff("a\0b")


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="POSIX")
def test_a_pipe_is_refused_without_waiting_for_it(tmp_path):
    os.mkfifo(tmp_path / "pipe.pdf")
    with pytest.raises(UnsupportedMedia, match="is a pipe, socket or device"):
        sniff(tmp_path / "pipe.pdf")
    listener = socket.socket(socket.AF_UNIX)
    listener.bind(str(tmp_path / "s"))
    with listener, pytest.raises(UnsupportedMedia):
        sniff(tmp_path / "s")


@pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() == 0, reason="root may read everything")
def test_no_permission(tmp_path):
    path = Path(tmp_path / "mine.pdf")
    path.write_bytes(b"%PDF-1.7")
    path.chmod(0)
    with pytest.raises(UnreadableMedia, match="may not be read; check its permissions"):
        sniff(path)
