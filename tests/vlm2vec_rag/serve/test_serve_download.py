"""Only allowed, public hosts are fetched from, whatever redirects and names say; limits end a fetch."""

import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from vlm2vec_rag import samples
from vlm2vec_rag.errors import InvalidInput, MediaLimit, UnreadableMedia
from vlm2vec_rag.serve.download import DownloadLimits, check_address, download_video, is_public

FILM = (samples.folder() / "big-buck-bunny.mp4").read_bytes()


@pytest.fixture
def server():
    """A media server on this machine, with a film, a redirect, and a record of who asked."""
    asked = []

    class Handler(BaseHTTPRequestHandler):
        def log_message(self, *arguments):
            pass

        def do_HEAD(self):
            self.do_GET()

        def do_GET(self):
            asked.append(self.path)
            if self.path.startswith("/redirect"):
                self.send_response(302)
                self.send_header("Location", f"http://127.0.0.2:{self.server.server_port}/film.mp4")
                self.end_headers()
                return
            if not self.path.startswith("/film.mp4"):
                self.send_error(404)
                return
            self.send_response(200)
            self.send_header("Content-Type", "video/mp4")
            self.send_header("Content-Length", str(len(FILM)))
            self.end_headers()
            if self.command == "GET":
                self.wfile.write(FILM)

    server = ThreadingHTTPServer(("0.0.0.0", 0), Handler)
    server.asked = asked
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield server
    server.shutdown()
    server.server_close()


@pytest.mark.parametrize(
    ("address", "words"),
    [
        ("file:///etc/passwd", "no web address"),
        ("ftp://archive.org/x", "no web address"),
        ("/etc/passwd", "no web address"),
        ("http://169.254.169.254/latest/meta-data", "not a host"),
        ("http://localhost:6333/", "not a host"),
        ("https://youtube.com.evil.example/watch", "not a host"),
        ("https://evil.example/?youtube.com", "not a host"),
        ("https://me:secret@youtube.com/watch", "user name"),
        ("https://youtube.com:22/", "port 22"),
        ("http://[::1", "no web address"),
        ("", "no web address"),
    ],
)
def test_an_address_that_may_not_be_fetched_is_refused_before_anything_is_asked(address, words, tmp_path):
    with pytest.raises(InvalidInput, match=words):
        next(download_video(address, tmp_path, DownloadLimits()))


def test_hosts_and_their_subdomains_are_allowed():
    assert check_address("https://www.YouTube.com/watch?v=1", DownloadLimits()) == "www.youtube.com"
    assert check_address("https://youtu.be/1", DownloadLimits()) == "youtu.be"


@pytest.mark.parametrize(
    ("address", "expected"),
    [
        ("8.8.8.8", True),
        ("2606:4700::1111", True),
        ("127.0.0.1", False),
        ("10.1.2.3", False),
        ("172.16.0.1", False),
        ("192.168.0.1", False),
        ("169.254.169.254", False),
        ("100.64.0.1", False),
        ("0.0.0.0", False),
        ("224.0.0.1", False),
        ("::1", False),
        ("fe80::1%eth0", False),
        ("fd00::1", False),
        ("::ffff:127.0.0.1", False),
        ("2002:7f00:1::", False),
        ("name", False),
    ],
)
def test_public_addresses_are_told_from_private_ones(address, expected):
    assert is_public(address) is expected


@pytest.mark.slow
def test_a_film_is_fetched_from_a_server_of_ones_own(server, tmp_path):
    limits = DownloadLimits(hosts=("127.0.0.1",), private_hosts=("127.0.0.1",))
    address = f"http://127.0.0.1:{server.server_port}/film.mp4"
    *lines, path = download_video(address, tmp_path, limits)
    assert isinstance(path, Path) and path.read_bytes() == FILM
    assert any("MB" in line for line in lines)
    assert [each for each in tmp_path.iterdir() if each.name.startswith(".")] == []


@pytest.mark.slow
def test_an_allowed_name_that_leads_to_a_private_address_is_not_asked(server, tmp_path):
    """The name is allowed, its address is private: refused at the connection, the server hears nothing."""
    limits = DownloadLimits(hosts=("127.0.0.1",))
    with pytest.raises(InvalidInput, match="port"):
        list(download_video(f"http://127.0.0.1:{server.server_port}/film.mp4", tmp_path, limits))
    with pytest.raises(UnreadableMedia, match="private address"):
        list(download_video("http://127.0.0.1/film.mp4", tmp_path, limits))
    # a name of DNS that points inside
    with pytest.raises(UnreadableMedia, match="private address"):
        list(download_video("http://localhost/film.mp4", tmp_path, DownloadLimits(hosts=("localhost",))))
    assert server.asked == []


@pytest.mark.slow
def test_a_redirect_to_a_private_address_is_not_followed(server, tmp_path):
    limits = DownloadLimits(hosts=("127.0.0.1",), private_hosts=("127.0.0.1",))
    with pytest.raises(UnreadableMedia, match=r"127\.0\.0\.2 is a private address"):
        list(download_video(f"http://127.0.0.1:{server.server_port}/redirect.mp4", tmp_path, limits))
    assert not any(path.startswith("/film") for path in server.asked)


@pytest.mark.slow
def test_a_film_over_the_limit_is_ended(server, tmp_path):
    limits = DownloadLimits(hosts=("127.0.0.1",), private_hosts=("127.0.0.1",), max_bytes=100_000)
    with pytest.raises((MediaLimit, UnreadableMedia)):
        list(download_video(f"http://127.0.0.1:{server.server_port}/film.mp4", tmp_path, limits))
    assert list(tmp_path.iterdir()) == []
