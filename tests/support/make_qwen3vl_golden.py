"""Run Qwen3-VL-Embedding's own class over `qwen3vl_cases` and keep its vectors.

Needs what the class needs and the tests do not: the repository QwenLM/Qwen3-VL-Embedding at 8ce3aab (its
`src/models/qwen3_vl_embedding.py`), qwen-vl-utils 0.0.14, torchvision and Pillow 13.

    python tests/support/make_qwen3vl_golden.py PATH/TO/qwen3_vl_embedding.py
"""

from __future__ import annotations

import importlib.util
import sys
import tempfile
from pathlib import Path

import numpy as np
import torch
from qwen3vl_cases import cases
from tiny_models import tiny_qwen3vl

TO = Path(__file__).parents[1] / "data" / "conformance" / "qwen3vl" / "vectors.npz"
# What Qwen3-VL's own template does with these conversations: text and pixels in order, an open answer at the end. The
# frames of a video stand without <|vision_start|> and <|vision_end|> around them all: the template writes the two, the
# processor that the model was published with (transformers 4.57) replaced them too, and that of 5.24 leaves them.
TEMPLATE = """{%- for message in messages -%}
<|im_start|>{{ message.role }}
{% for part in message.content -%}
{%- if part.type == 'image' -%}<|vision_start|><|image_pad|><|vision_end|>
{%- elif part.type == 'video' -%}<|video_pad|>
{%- else -%}{{ part.text }}{%- endif -%}
{%- endfor -%}<|im_end|>
{% endfor -%}
{%- if add_generation_prompt -%}<|im_start|>assistant
{% endif -%}"""


def main(script: Path) -> None:
    spec = importlib.util.spec_from_file_location("reference", script)
    reference = importlib.util.module_from_spec(spec)
    sys.modules["reference"] = reference
    spec.loader.exec_module(reference)
    from qwen_vl_utils import vision_process

    folder = tiny_qwen3vl(Path(tempfile.mkdtemp()) / "tiny")
    embedder = reference.Qwen3VLEmbedder(str(folder), torch_dtype=torch.float32)
    embedder.processor.chat_template = TEMPLATE
    all_cases = cases()

    def read(element):
        """In place of a decoder: the frames of the case of that name, and their times in hundredths of a second."""
        case = all_cases[element["video"].removeprefix("file://")]
        video = torch.stack([torch.from_numpy(np.array(frame).transpose(2, 0, 1)) for frame in case.frames])
        indices = [round(100 * time_s) for time_s in case.times_s]
        return video, {"fps": 100.0, "frames_indices": indices, "total_num_frames": indices[-1] + 1}, 1.0

    vision_process.VIDEO_READER_BACKENDS = {"torchvision": read}
    vision_process.get_video_reader_backend = lambda: "torchvision"
    vectors, ids = {}, {}
    for name, case in all_cases.items():
        embedder.max_length = case.max_tokens
        given = {
            "text": case.text or None,
            "image": list(case.images) or None,
            "video": (name if case.times_s else list(case.frames)) if case.frames else None,
            "instruction": case.instruction,
        }
        seen = {}
        forward = embedder.forward

        def spy(inputs, seen=seen, forward=forward):
            seen.update(inputs)
            return forward(inputs)

        embedder.forward = spy
        vectors[name] = embedder.process([given])[0].numpy()
        embedder.forward = forward
        ids[f"ids of {name}"] = seen["input_ids"][0].numpy().astype(np.int16)
        print(f"{name}: {len(ids[f'ids of {name}'])} tokens, {embedder.processor.decode(seen['input_ids'][0][:60])!r}")
    TO.parent.mkdir(parents=True, exist_ok=True)
    np.savez_compressed(TO, **vectors, **ids)
    print(TO, TO.stat().st_size, "bytes")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
