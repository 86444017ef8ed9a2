"""The server as a process: it stops when told, whatever it is doing, and takes a large upload without growing."""

import json
import os
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from pathlib import Path

import pytest
from serving import server_process

from vlm2vec_rag.cli.serve import placed
from vlm2vec_rag.errors import InvalidInput

pytestmark = pytest.mark.slow
STOP_S = 30  # of a busy machine; a quiet one takes three

# a job that nothing interrupts: as deep in a model's batch as one can be
HANGING = """
import threading, time
from vlm2vec_rag.library import Library
def index(self, paths, callback=None, **settings):
    callback.planned(1, 1)
    time.sleep(3600)
Library.index = index
"""


def get(address):
    with urllib.request.urlopen(address, timeout=60) as answer:
        return json.load(answer)


@pytest.mark.parametrize("told", [signal.SIGTERM, signal.SIGINT])
def test_it_stops_when_told(tmp_path, told):
    with server_process(tmp_path) as (address, process):
        # an open page holds its connection, and an event stream waits
        held = socket.create_connection(("127.0.0.1", int(address.rpartition(":")[2])))
        process.send_signal(told)
        assert process.wait(STOP_S) == 128 + told, (tmp_path / "log").read_text()
        held.close()
    assert "Traceback" not in (tmp_path / "log").read_text()


def test_it_stops_in_the_middle_of_a_job_that_hangs_and_leaves_the_folder_free(tmp_path):
    (tmp_path / "sitecustomize.py").write_text(HANGING)
    path = os.pathsep.join(filter(None, [str(tmp_path), os.environ.get("PYTHONPATH")]))
    with server_process(tmp_path, env={"PYTHONPATH": path}) as (address, process):
        urllib.request.urlopen(urllib.request.Request(address + "/library/samples", method="POST"), timeout=60).close()
        while get(address + "/api/jobs")["jobs"][0]["state"] != "running":
            time.sleep(0.1)
        process.terminate()
        assert process.wait(STOP_S) == 128 + signal.SIGTERM, (tmp_path / "log").read_text()
    with server_process(tmp_path) as (address, _):
        assert get(address + "/health")["status"] == "ok"


def test_two_servers_over_one_folder_are_told_apart(tmp_path):
    with server_process(tmp_path):
        command = [sys.executable, "-c", "from vlm2vec_rag.cli import main; main()", "serve", "--port", "1"]
        second = subprocess.run(
            [*command, "-c", str(tmp_path / "collection")], capture_output=True, text=True, timeout=120, check=False
        )
    assert second.returncode == 1 and "Traceback" not in second.stderr and "open" in second.stderr


def test_a_large_upload_goes_to_disk_and_memory_stays_flat(tmp_path):
    megabytes = 200
    head = b'--B\r\nContent-Disposition: form-data; name="files"; filename="large.mp4"\r\n\r\n'
    tail = b"\r\n--B--\r\n"

    def peak_mb(process):
        status = Path(f"/proc/{process.pid}/status").read_text()
        return int(next(line for line in status.splitlines() if line.startswith("VmHWM")).split()[1]) / 1000

    with server_process(tmp_path) as (address, process):
        before = peak_mb(process)
        with socket.create_connection(("127.0.0.1", int(address.rpartition(":")[2]))) as connection:
            length = len(head) + len(tail) + megabytes * 1_000_000
            lines = [
                "POST /api/upload HTTP/1.1",
                f"Host: {address.removeprefix('http://')}",
                f"Content-Length: {length}",
            ]
            lines += ["Content-Type: multipart/form-data; boundary=B", "Connection: close", "", ""]
            connection.sendall("\r\n".join(lines).encode() + head)
            for _ in range(megabytes):
                connection.sendall(bytes(1_000_000))
            connection.sendall(tail)
            answer = b""
            while piece := connection.recv(65536):
                answer += piece
        grown = peak_mb(process) - before
    assert b" 422 " in answer.partition(b"\r\n")[0] and b"large.mp4" in answer  # zeros are no video
    print(f"\n{megabytes} MB uploaded, memory grew by {grown:.1f} MB")
    assert grown < megabytes / 4


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        (".vlm2vec", ("vlm2vec", ".vlm2vec", "default")),
        ("docs=./a", ("docs", "./a", "default")),
        ("my.vlm2vec", ("my", "my.vlm2vec", "default")),
        ("/a=b/c", ("c", "/a=b/c", "default")),
        ("http://h:6333#talks", ("talks", "http://h:6333", "talks")),
        ("t=http://h:6333#talks", ("t", "http://h:6333", "talks")),
    ],
)
def test_a_collection_is_named_by_its_place_or_by_hand(given, expected):
    assert placed(given) == expected


def test_a_name_without_a_place_is_refused():
    with pytest.raises(InvalidInput, match="has no place"):
        placed("docs=")
