"""A miniature of the benchmark's files on disk, written as they are laid out on the hub."""

import json
import zlib
from pathlib import Path

import pytest
from PIL import Image, ImageDraw

from vlm2vec_rag.evaluation.hub_layout import DataFolder, HubPath
from vlm2vec_rag.evaluation.tasks import TASKS


class MiniHub:
    """Writes rows, images and frames where `DataFolder` looks for them."""

    def __init__(self, root: Path):
        self.root = root
        self.folder = DataFolder(root, offline=True)

    def rows(self, task: str, rows: list[dict], config: str | None = "own", split: str | None = None) -> None:
        """One configuration of a data set: a parquet file, and a card that names it, as on the hub."""
        import pyarrow as pa
        import pyarrow.parquet as pq

        path = HubPath.of(TASKS[task])
        config = path.configs[0] if config == "own" else config
        repo = self.root / "rows" / path.repo
        file = repo / (config or "data") / f"{split or path.split}-00000-of-00001.parquet"
        file.parent.mkdir(parents=True, exist_ok=True)
        table = pa.Table.from_pylist(rows)
        if "image" in table.column_names:  # the hub marks image columns so
            features = {
                name: {"_type": "Image"} if name == "image" else {"dtype": "string", "_type": "Value"}
                for name in table.column_names
            }
            table = table.replace_schema_metadata({"huggingface": json.dumps({"info": {"features": features}})})
        pq.write_table(table, file)
        (repo / "README.md").write_text(self._card(repo), encoding="utf-8")

    def image_file(self, path: str, text: str = "") -> Path:
        """A small image whose colours come from its path, so that no two are alike."""
        return draw(self.root / path, text or path)

    def image(self, path: str) -> str:
        self.image_file(f"image-tasks/MMEB/{path}")
        return path

    def frames(self, place: str, n: int = 10) -> None:
        for i in range(n):
            self.image_file(f"video-tasks/frames/{place}/frame_{i + 1:04d}.jpg", f"{place} {i}")

    def _card(self, repo: Path) -> str:
        lines = ["---", "configs:"]
        for folder in sorted(path for path in repo.iterdir() if path.is_dir()):
            lines += [f"- config_name: {'default' if folder.name == 'data' else folder.name}", "  data_files:"]
            for file in sorted(folder.iterdir()):
                lines += [f"  - split: {file.name.split('-')[0]}", f"    path: {folder.name}/{file.name}"]
        return "\n".join([*lines, "---", ""])


def draw(path: Path, text: str) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    seed = zlib.crc32(text.encode())
    image = Image.new("RGB", (84, 56), (seed & 255, seed >> 8 & 255, seed >> 16 & 255))
    ImageDraw.Draw(image).text((4, 20), text[-12:], fill="white")
    image.save(path)
    return path


@pytest.fixture
def hub(tmp_path) -> MiniHub:
    return MiniHub(tmp_path / "mmeb")


def write_mini(hub: MiniHub, name: str) -> None:
    """Two or three rows of any of the 78 tasks, right answers first, with every file they need."""
    _WRITERS[TASKS[name].parser](hub, name)


def _image_to_text(hub: MiniHub, name: str) -> None:
    for_text = "text" in TASKS[name].query_modality
    hub.rows(
        name,
        [
            {
                "qry_inst": f"<|image_1|>\n{TASKS[name].query_instruction}",
                "qry_text": f"words {i}" if for_text else "",
                "qry_img_path": hub.image(f"{name}/q{i}.png"),
                "tgt_text": [f"label {i}", f"label {1 - i}", "label 2"],
            }
            for i in range(2)
        ],
    )


def _to_image(hub: MiniHub, name: str) -> None:
    task = TASKS[name]
    captioned, shows_image = "text" in task.target_modality, "image" in task.query_modality
    words = "words {}" if "text" in task.query_modality else ""

    def caption(j: int) -> str:
        return _in_blank(task.target_instruction, f"caption {j}") if captioned else ""

    hub.rows(
        name,
        [
            {
                "qry_inst": ("<|image_1|>\n" if "image" in task.query_modality else "")
                + _before_blank(task.query_instruction),
                "qry_text": _in_blank(task.query_instruction, words.format(i)),
                "qry_img_path": hub.image(f"{name}/q{i}.png") if shows_image else "",
                "tgt_inst": f"<|image_1|>\n{_before_blank(task.target_instruction)}",
                "tgt_text": [
                    _in_blank(task.target_instruction, f"caption {j}") if captioned else "" for j in (i, 1 - i, 2)
                ],
                "tgt_img_path": [hub.image(f"{name}/t{j}.png") for j in (i, 1 - i, 2)],
            }
            for i in range(2)
        ],
    )


def _before_blank(instruction: str) -> str:
    return instruction.split(' "{', maxsplit=1)[0]


def _in_blank(instruction: str, text: str) -> str:
    return f'"{text}"' if "{" in instruction else text


def _classification(hub: MiniHub, name: str) -> None:
    from vlm2vec_rag.evaluation.baselines import video_labels

    labels = video_labels().get(name, ("opening something", "closing something", "moving something"))
    folder = {"SmthSmthV2": "SSv2"}.get(name, name)
    for i in range(2):
        hub.frames(f"video_cls/{folder}/{i}")
    hub.rows(name, [{"video_id": str(i), "pos_text": labels[i], "neg_text": list(labels[:3])} for i in range(2)])


def _mvbench(hub: MiniHub, name: str) -> None:
    from vlm2vec_rag.evaluation.hub_layout import MVBENCH_SUBSETS

    for subset in MVBENCH_SUBSETS:
        hub.frames(f"video_qa/MVBench/{subset}/clip.mp4")
        row = {"question": f"What of {subset}?", "video": "clip.mp4", "candidates": ["this", "that"], "answer": "that"}
        hub.rows(name, [row], config=subset)


def _nextqa(hub: MiniHub, name: str) -> None:
    hub.frames("video_qa/NExTQA/77")
    answers = {f"a{i}": f"answer {i}" for i in range(5)}
    hub.rows(name, [{"video": 77, "question": "why did he", "answer": 3, "qid": 1, "type": "CW", **answers}])


def _videomme(hub: MiniHub, name: str) -> None:
    hub.frames("video_qa/Video-MME/abc")
    options = ["A. Red.", "B. Blue.", "C. 3. December.", "D. None."]
    hub.rows(name, [{"videoID": "abc", "question": "Which?", "options": options, "answer": "C", "question_id": "1-1"}])


def _egoschema(hub: MiniHub, name: str) -> None:
    hub.frames("video_qa/EgoSchema/v1")
    options = [f"A. c does {i}." for i in range(5)]
    hub.rows(
        name, [{"video_idx": "v1", "question": "What is it?", "option": options, "answer": "4", "question_idx": "7"}]
    )


def _activitynetqa(hub: MiniHub, name: str) -> None:
    hub.frames("video_qa/ActivityNetQA/v_x1")
    hub.rows(name, [{"video_name": "x1", "question": "is he running", "answer": "no", "question_id": "x1_1"}])


_CAPTION_ROWS = {
    "DiDeMo": lambda i: {"video": f"some/where/clip{i}.mp4", "caption": f"words {i}"},
    "MSR-VTT": lambda i: {"video_id": f"clip{i}", "video": f"clip{i}.mp4", "caption": f"words {i}"},
    "MSVD": lambda i: {"video_id": f"clip{i}", "video": f"clip{i}.avi", "caption": [f"words {i}", "more"]},
    "VATEX": lambda i: {"videoID": f"clip{i}", "enCap": [f"words {i}", "more"]},
    "YouCook2": lambda i: {"id": f"clip{i}", "video_path": f"validation/clip{i}.mp4", "sentence": f"words {i}"},
}


def _captions(hub: MiniHub, name: str) -> None:
    for i in range(3):
        hub.frames(f"video_ret/{name}/clip{i}")
    hub.rows(name, [_CAPTION_ROWS[name](i) for i in range(3)])


def _moments(hub: MiniHub, name: str) -> None:
    folder = name.replace("Charades-STA", "Charades_STA")
    for clip in ("query", "positive_10_20", "negative_0_10", "negative_30_40"):
        hub.frames(f"video_mret/{folder}/v7/{clip}")
    hub.rows(name, [{"query": "someone opens a door", "video_path": "elsewhere/v7.mp4"}])


def _moment_seeker(hub: MiniHub, name: str) -> None:
    for clip in ("ego_1_2.0_4.0", "ego_1_8.0_9.0", "movie_3"):
        hub.frames(f"video_mret/MomentSeeker/video_frames/{clip}", n=11)
    hub.image_file("video-tasks/frames/video_mret/MomentSeeker/query_shot.jpg")
    clips = {
        "positive_frames": [{"output_path": "ego/1_2.0_4.0.mp4"}],
        "negative_frames": [{"output_path": "ego/1_8.0_9.0.mp4"}],
    }
    rows = [
        {"query": f"words {i}", "input_frames": shown, **clips}
        for i, shown in enumerate(("", "shot.jpg", "movie/3.mp4"))
    ]
    hub.rows(name, rows)


def _visual_documents(hub: MiniHub, name: str) -> None:
    pages = [hub.image_file(f"pages/{name}-{i}.png").read_bytes() for i in range(4)]
    hub.rows(name, [{"query-id": i, "query": f"question {i}"} for i in range(2)], config="queries")
    hub.rows(
        name,
        [{"corpus-id": i, "image": {"bytes": page, "path": None}} for i, page in enumerate(pages)],
        config="corpus",
    )
    judged = [(0, 0, 2), (0, 1, 1), (0, 1, 2), (0, 2, 0), (1, 3, 1)]
    hub.rows(name, [{"query-id": q, "corpus-id": page, "score": grade} for q, page, grade in judged], config="qrels")


_WRITERS = {
    **dict.fromkeys(("image_cls", "image_qa", "image_i2t"), _image_to_text),
    **dict.fromkeys(("image_t2i", "image_i2i_vg"), _to_image),
    **dict.fromkeys(("video_classification", "ssv2"), _classification),
    "mvbench": _mvbench,
    "nextqa": _nextqa,
    "videomme": _videomme,
    "egoschema": _egoschema,
    "activitynetqa": _activitynetqa,
    **dict.fromkeys(("didemo", "msrvtt", "msvd", "vatex", "youcook2"), _captions),
    "moment_retrieval": _moments,
    "momentseeker": _moment_seeker,
    **dict.fromkeys(("vidore", "visrag"), _visual_documents),
}


@pytest.fixture
def mini(hub):
    """Write the miniature of a task and hand back the hub's folder."""

    def write(*names: str) -> MiniHub:
        for name in names:
            write_mini(hub, name)
        return hub

    return write


TINY = Path(__file__).parents[2] / "data" / "conformance" / "tiny"


@pytest.fixture(scope="session")
def load_tiny():
    """Loads the conformance checkpoint (random weights): what is tested here is what happens around the model."""
    from vlm2vec_rag.encoder import load_encoder

    def load(**changed):
        usual = {"device": "cpu", "dtype": "float32", "max_pixels": 28 * 28 * 16}
        return load_encoder(TINY / "base", TINY / "adapter", **{**usual, **changed})

    return load


@pytest.fixture(scope="session")
def tiny_encoder(load_tiny):
    return load_tiny()
