"""What the tests of the server share: attacks, jobs that are waited for, and a server as a process of its own."""

import contextlib
import os
import socket
import subprocess
import sys
import time
import urllib.request

TOKEN = "correct-horse-battery"
LOCAL = "http://127.0.0.1:7860"
EVIL = "<script>alert(1)</script><img src=x onerror=alert(2)> [click](javascript:alert(3)) orders"
PATIENCE_S = 90


def run_job(served, job):
    """Wait until a job is over, and give it back."""
    for _ in range(PATIENCE_S * 10):
        if job.is_over:
            return job
        job.wait(job.version, 0.1)
    raise AssertionError(f"{job.title} is still {job.state}")


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


@contextlib.contextmanager
def server_process(folder, *options, env=None):
    """`vlm2vec-rag serve` on a free port, until it answers; gives its address and process."""
    port = free_port()
    command = [sys.executable, "-c", "from vlm2vec_rag.cli import main; main()", "serve"]
    command += ["-c", str(folder / "collection"), "--model", "none", "--port", str(port), *map(str, options)]
    log = folder / "log"
    with log.open("wb") as written:
        process = subprocess.Popen(
            command, stdout=written, stderr=written, env={**os.environ, **(env or {})}, cwd=folder
        )
    address = f"http://127.0.0.1:{port}"
    try:
        for _ in range(PATIENCE_S * 10):
            assert process.poll() is None, log.read_text()
            try:
                urllib.request.urlopen(address + "/static/icon.svg", timeout=5).close()
                break
            except OSError:
                time.sleep(0.1)
        yield address, process
    finally:
        process.kill()
        process.wait()
