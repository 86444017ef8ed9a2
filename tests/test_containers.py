"""The container files say what the server needs; no engine runs here, so this is as far as a test goes."""

import re
from pathlib import Path

import yaml

ROOT = Path(__file__).parents[1]
DOCKERFILE = (ROOT / "Dockerfile").read_text(encoding="utf-8")


def test_the_image_runs_as_nobody_in_particular_and_stops_on_sigterm():
    stages = re.split(r"^FROM ", DOCKERFILE, flags=re.MULTILINE)[1:]
    assert all(re.match(r"\S+:\d\S*-slim", each) for each in stages)  # pinned and slim, never :latest
    assert re.search(r"^USER \d+$", stages[-1], re.MULTILINE) and "STOPSIGNAL SIGTERM" in stages[-1]
    assert 'CMD ["serve"' in stages[-1] and 'ENTRYPOINT ["vlm2vec-rag"]' in stages[-1]  # no shell between
    assert not re.search(r"^(ENV|ARG|RUN).*(TOKEN|PASSWORD)|^ADD |sudo", DOCKERFILE, re.MULTILINE)


def test_what_is_copied_into_the_image_is_there_and_not_ignored():
    ignored = (ROOT / ".dockerignore").read_text(encoding="utf-8").split()
    for line in re.findall(r"^COPY (?!--from)(.+)$", DOCKERFILE, re.MULTILINE):
        for name in line.split()[:-1]:
            assert (ROOT / name).exists() and f"!{name}" in ignored, name


def test_the_options_of_the_containers_are_the_commands():
    import inspect

    from vlm2vec_rag.cli.serve import serve_command

    known = {f"--{name.replace('_', '-')}" for name in inspect.signature(serve_command).parameters}
    compose = yaml.safe_load((ROOT / "compose.yaml").read_text(encoding="utf-8"))
    command = compose["services"]["vlm2vec"]["command"]
    used = {each for each in command if each.startswith("--")} | set(re.findall(r'"(--[a-z-]+)"', DOCKERFILE))
    assert used - known - {"--from"} == set()


def test_compose_publishes_to_this_machine_alone_and_asks_for_a_token():
    services = yaml.safe_load((ROOT / "compose.yaml").read_text(encoding="utf-8"))["services"]
    assert services["vlm2vec"]["ports"] == ["127.0.0.1:7860:7860"] and "ports" not in services["qdrant"]
    assert ":?" in services["vlm2vec"]["environment"]["VLM2VEC_TOKEN"]
