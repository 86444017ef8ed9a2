"""Downloading, with the hub's own client against a hub on this machine."""

import io
import json
import tarfile
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest
from typer.testing import CliRunner

from vlm2vec_rag.cli.app import app
from vlm2vec_rag.errors import InvalidInput, UnreadableMedia
from vlm2vec_rag.evaluation.download import fetch, plan
from vlm2vec_rag.evaluation.hub_layout import DataFolder
from vlm2vec_rag.evaluation.parsers import read_task
from vlm2vec_rag.evaluation.tasks import TASKS

COMMIT = "0123456789abcdef0123456789abcdef01234567"


class SmallHub:
    """Serves data sets out of memory, as the hub does, and keeps the paths it was asked for."""

    def __init__(self):
        self.files: dict[str, dict[str, bytes]] = {}
        self.fetched: list[str] = []
        hub = self

        class Handler(BaseHTTPRequestHandler):
            def do_HEAD(self):
                self._file(body=False)

            def do_GET(self):
                if self.path.startswith("/api/datasets/"):
                    owner, name = self.path.split("?")[0].split("/")[3:5]
                    hub._answer(self, hub.files.get(f"{owner}/{name}"), f"{owner}/{name}")
                else:
                    self._file(body=True)

            def _file(self, body):
                _, _, owner, name, _, _, *path = self.path.split("?")[0].split("/")
                data = hub.files[f"{owner}/{name}"]["/".join(path)]
                self.send_response(200)
                for header in ("ETag", "X-Linked-Etag"):
                    self.send_header(header, f'"{hash(data) & 0xFFFFFFFF:08x}"')
                self.send_header("X-Repo-Commit", COMMIT)
                self.send_header("Content-Length", str(len(data)))
                self.end_headers()
                if body:
                    hub.fetched.append("/".join(path))
                    self.wfile.write(data)

            def log_message(self, *_):
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_port}"
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    @staticmethod
    def _answer(handler, files, repo):
        handler.send_response(200 if files else 404)
        handler.end_headers()
        siblings = [{"rfilename": name, "size": len(data), "blobId": "0"} for name, data in (files or {}).items()]
        answer = {"id": repo, "sha": COMMIT, "siblings": siblings, "private": False, "tags": [], "downloads": 0}
        handler.wfile.write(json.dumps({**answer, "likes": 0, "author": "x", "gated": False}).encode())


@pytest.fixture
def small_hub(tmp_path, monkeypatch):
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", False)
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path / "hub-cache"))
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_DISABLE_PROGRESS_BARS", True)
    hub = SmallHub()
    yield hub
    hub.server.shutdown()
    hub.server.server_close()


def publish(small_hub, mini, *names):
    """Put the miniature of tasks onto the hub, packed as the benchmark is."""
    root = mini(*names).root
    for repo in (root / "rows").glob("*/*"):
        files = {path.relative_to(repo).as_posix(): path.read_bytes() for path in repo.rglob("*") if path.is_file()}
        small_hub.files[f"{repo.parent.name}/{repo.name}"] = files
    archives = small_hub.files["TIGER-Lab/MMEB-V2"] = {}
    for archive, folder in (
        ("image-tasks/mmeb_v1", "image-tasks"),
        ("video-tasks/frames/video_mret", "video-tasks/frames"),
    ):
        if (root / folder).is_dir():
            archives[f"{archive}.tar.gz"] = pack(root / folder)
    return root


def pack(folder):
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w:gz") as archive:
        for path in sorted(folder.rglob("*")):
            archive.add(path, path.relative_to(folder).as_posix(), recursive=False)
    return buffer.getvalue()


def test_sizes_are_known_before_anything_is_fetched(small_hub, mini, tmp_path):
    publish(small_hub, mini, "OK-VQA", "ViDoRe_arxivqa")
    small_hub.files["ziyjiang/MMEB_Test_Instruct"]["CIRR/test.parquet"] = b"another task"
    parts = plan([TASKS["OK-VQA"], TASKS["ViDoRe_arxivqa"]], tmp_path / "data", endpoint=small_hub.url)
    assert [part.tasks for part in parts] == [("OK-VQA",), ("ViDoRe_arxivqa",), ("OK-VQA",)]
    names = [name for name, _ in parts[0].files]
    assert sorted(names) == ["OK-VQA/test-00000-of-00001.parquet", "README.md"]
    assert parts[2].n_bytes == len(small_hub.files["TIGER-Lab/MMEB-V2"]["image-tasks/mmeb_v1.tar.gz"])
    assert small_hub.fetched == []


@pytest.mark.parametrize("name", ["OK-VQA", "QVHighlight", "ViDoRe_arxivqa"])
def test_what_was_fetched_can_be_read_and_is_not_fetched_again(small_hub, mini, tmp_path, name):
    publish(small_hub, mini, name)
    root = tmp_path / "data"
    fetch(plan([TASKS[name]], root, endpoint=small_hub.url), root, endpoint=small_hub.url)
    data = read_task(TASKS[name], DataFolder(root, offline=True))
    assert data.queries
    assert not data.left_out
    for candidate in data.candidates():
        assert candidate.visual is None or candidate.visual.load()
    small_hub.fetched.clear()
    fetch(plan([TASKS[name]], root, endpoint=small_hub.url), root, endpoint=small_hub.url)
    assert small_hub.fetched == []


def test_only_the_frames_of_the_task_are_unpacked(small_hub, mini, tmp_path):
    publish(small_hub, mini, "QVHighlight", "Charades-STA")
    root = tmp_path / "data"
    fetch(plan([TASKS["QVHighlight"]], root, endpoint=small_hub.url), root, endpoint=small_hub.url)
    assert [path.name for path in (root / "video-tasks/frames/video_mret").iterdir()] == ["QVHighlight"]
    (rows, archive) = plan([TASKS["Charades-STA"]], root, endpoint=small_hub.url)
    small_hub.fetched.clear()
    fetch([rows, archive], root, endpoint=small_hub.url)
    assert "video-tasks/frames/video_mret.tar.gz" not in small_hub.fetched  # it is in the hub's cache
    assert (root / "video-tasks/frames/video_mret/Charades_STA").is_dir()


def test_an_archive_in_parts_is_read_as_one(small_hub, mini, tmp_path):
    root = mini("Video-MME").root
    repo = root / "rows/VLM2Vec/Video-MME"
    small_hub.files["VLM2Vec/Video-MME"] = {
        path.relative_to(repo).as_posix(): path.read_bytes() for path in repo.rglob("*") if path.is_file()
    }
    packed = pack(root / "video-tasks/frames")
    third = len(packed) // 3
    parts = {"00": packed[:third], "01": packed[third : 2 * third], "02": packed[2 * third :]}
    small_hub.files["TIGER-Lab/MMEB-V2"] = {
        f"video-tasks/frames/video_qa.tar.gz-{number}": data for number, data in parts.items()
    }
    data = tmp_path / "data"
    fetch(plan([TASKS["Video-MME"]], data, endpoint=small_hub.url), data, endpoint=small_hub.url)
    assert len(read_task(TASKS["Video-MME"], DataFolder(data, offline=True)).queries) == 1


def test_an_archive_that_leads_out_of_the_folder_is_refused(small_hub, mini, tmp_path):
    publish(small_hub, mini, "OK-VQA")
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w:gz") as archive:
        archive.addfile(tarfile.TarInfo("../../outside.txt"))
    small_hub.files["TIGER-Lab/MMEB-V2"]["image-tasks/mmeb_v1.tar.gz"] = buffer.getvalue()
    root = tmp_path / "deep" / "data"
    parts = plan([TASKS["OK-VQA"]], root, endpoint=small_hub.url)
    with pytest.raises(UnreadableMedia, match="outside"):
        fetch(parts, root, endpoint=small_hub.url)
    assert not list(tmp_path.rglob("outside.txt"))


def test_a_full_disk_is_said_before_the_download(small_hub, mini, tmp_path, monkeypatch):
    publish(small_hub, mini, "OK-VQA")
    parts = plan([TASKS["OK-VQA"]], tmp_path / "data", endpoint=small_hub.url)
    monkeypatch.setattr("shutil.disk_usage", lambda _: type("Usage", (), {"free": 10})())
    with pytest.raises(InvalidInput, match=r"are needed, and .* has 0\.01 kB free"):
        fetch(parts, tmp_path / "data", endpoint=small_hub.url)
    assert small_hub.fetched == []


def test_the_command_shows_sizes_and_asks_before_it_downloads(small_hub, mini, tmp_path, monkeypatch):
    publish(small_hub, mini, "OK-VQA")
    monkeypatch.setattr("huggingface_hub.constants.ENDPOINT", small_hub.url)
    address = small_hub.url + "/{repo_id}/resolve/{revision}/{filename}"
    monkeypatch.setattr("huggingface_hub.constants.HUGGINGFACE_CO_URL_TEMPLATE", address)
    command = ["eval", "--download", "--tasks", "OK-VQA", "--data", str(tmp_path / "data")]
    refused = CliRunner().invoke(app, command, input="n\n")
    assert refused.exit_code == 1
    assert "ziyjiang/MMEB_Test_Instruct" in refused.output
    assert "kB in all" in refused.output
    assert small_hub.fetched == []
    assert CliRunner().invoke(app, [*command, "--yes"]).exit_code == 0
    assert len(read_task(TASKS["OK-VQA"], DataFolder(tmp_path / "data", offline=True)).queries) == 2


def test_a_data_set_that_is_gone_is_named(small_hub, tmp_path):
    with pytest.raises(UnreadableMedia, match="does not list the files of VLM2Vec/MSVD"):
        plan([TASKS["MSVD"]], tmp_path, endpoint=small_hub.url)
