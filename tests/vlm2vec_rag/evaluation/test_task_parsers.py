"""Every task is read from a miniature of its files, and the model is shown exactly the prompts of the task table."""

import numpy as np
import pytest

from vlm2vec_rag.errors import UnreadableMedia
from vlm2vec_rag.evaluation.hub_layout import DataFolder, HubPath
from vlm2vec_rag.evaluation.parsers import read_task
from vlm2vec_rag.evaluation.tasks import TASKS

VIDEO_QA = (
    "<|video_pad|> Given a video and a question, select the most accurate answer from the provided candidates. "
    "Return only the exact text of your chosen answer. Question:  "  # two spaces, the prompt's own and the separator
)
WATCH = "<|video_pad|> Understand the content of the provided video."
MOMENT = "<|video_pad|> Find the clip that corresponds to the described scene in the given video: someone opens a door"
PAGE = "<|image_pad|> Understand the content of the provided document image."

# the first query's prompt and the first candidate's, byte for byte
EXPECTED = {
    "ImageNet-1K": ("<|image_pad|>\nRepresent the given image for classification\n", "label 0"),
    "N24News": (
        "<|image_pad|>\nRepresent the given news image with the following caption for domain classification: words 0\n",
        "label 0",
    ),
    "OK-VQA": ("<|image_pad|>\nRepresent the given image with the following question: words 0\n", "label 0"),
    "VisualNews_i2t": ("<|image_pad|>\nFind a caption for the news in the given photo.\n", "label 0"),
    "MSCOCO_t2i": (
        "Find me an everyday image that matches the given caption: words 0\n",
        "<|image_pad|>\nRepresent the given image.\n",
    ),
    "VisDial": (
        "Represent the given dialogue about an image, which is used for image retrieval: words 0\n\n",
        "<|image_pad|>\nRepresent the given image.\n",
    ),
    "EDIS": (
        "Find a news image that matches the provided caption: words 0\n",
        "<|image_pad|>\nRepresent the given image with related text information: caption 0\n",
    ),
    "CIRR": (
        "<|image_pad|>\nGiven an image, find a similar everyday image with the described changes: words 0\n",
        "<|image_pad|>\nRepresent the given image.",  # no line break at the end
    ),
    "OVEN": (
        "<|image_pad|>\nRetrieve a Wikipedia image-description pair that provides evidence for the question of this "
        "image: words 0\n",
        "<|image_pad|>\nRepresent the given Wikipedia image with related text information: caption 0\n",
    ),
    "NIGHTS": (
        "<|image_pad|>\nFind a day-to-day image that looks similar to the provided image.\n",
        "<|image_pad|>\nRepresent the given image.",
    ),
    "MSCOCO": (
        '<|image_pad|>\nCrop the image to to isolate the object labeled as "words 0"\n',
        "<|image_pad|>\nRepresent the given cropped image of the object.",
    ),
    "RefCOCO-Matching": (
        '<|image_pad|>\nSelect the portion of the image that follows the language expressions: "words 0"\n',
        '<|image_pad|>\nSelect the portion of the image that follows the language expressions: "caption 0"\n',
    ),
    "K700": ("<|video_pad|> Recognize the category of the video content.", "abseiling"),
    "Breakfast": (
        "<|video_pad|> Recognize the breakfast type that the person is cooking in the video. ",  # ends in a space
        "cereal",
    ),
    "SmthSmthV2": (
        "<|video_pad|> What actions or object interactions are being performed by the person in the video?",
        "opening something",
    ),
    "MVBench": (f"{VIDEO_QA}What of episodic_reasoning?\nOptions:\n(A) this\n(B) that", "(A) this"),
    "NExTQA": (
        f"{VIDEO_QA}why did he\nOptions:\n(A) answer 0\n(B) answer 1\n(C) answer 2\n(D) answer 3\n(E) answer 4",
        "answer 0",
    ),
    "Video-MME": (f"{VIDEO_QA}Which?\nA. Red.\nB. Blue.\nC. 3. December.\nD. None.", "Red"),
    "EgoSchema": (
        f"{VIDEO_QA}What is it?A. c does 0. A. c does 1. A. c does 2. A. c does 3. A. c does 4.",
        "c does 0",
    ),
    "ActivityNetQA": (f"{VIDEO_QA}is he running? (A) yes; (B) no.", "yes"),
    "DiDeMo": ("Find a video that includes the following described scenes: words 0", WATCH),
    "MSR-VTT": ("Find a video that contains the following visual content: words 0", WATCH),
    "MSVD": ("Find the video snippet that corresponds to the given summary: words 0", WATCH),
    "VATEX": ("Select a video that fits the description provided: words 0", WATCH),
    "YouCook2": ("Find a video that demonstrates the following action while making a recipe: words 0", WATCH),
    "QVHighlight": (MOMENT, WATCH),
    "Charades-STA": (MOMENT, WATCH),
    "MomentSeeker": (
        "Find the clip that corresponds to the given text: words 0",
        "<|video_pad|> Understand the content of the provided video clip.",
    ),
    "ViDoRe_arxivqa": ("Find a document image that matches the given query: question 0", PAGE),
    "VisRAG_PlotQA": ("Find a document image that matches the given query: question 0", PAGE),
}


@pytest.mark.parametrize("name", EXPECTED)
def test_the_prompts_are_those_of_the_benchmark(mini, name):
    data = read_task(TASKS[name], mini(name).folder)
    query, candidate = EXPECTED[name]
    assert data.queries[0].example.prompt == query
    assert next(data.candidates()).prompt == candidate
    assert not data.left_out
    assert not data.notes


@pytest.mark.parametrize("name", TASKS)
def test_every_task_reads_its_rows_and_agrees_with_the_task_table(mini, name):
    task = TASKS[name]
    data = read_task(task, mini(name).folder)
    assert data.queries
    assert not data.left_out
    assert not data.notes  # one would say that the rows' instruction is not the table's
    names = [each.name for each in data.candidates()]
    assert len(names) == len(set(names)) > 1
    for query in data.queries:
        assert set(query.relevance) <= set(query.candidates or names)
        assert (query.candidates is None) == (name in GLOBAL)
        shown = query.example.visual is not None
        assert shown == ("_pad|>" in query.example.prompt)


# classification ranks all classes too, which each of its queries lists
GLOBAL = {name for name, task in TASKS.items() if task.eval_type == "global" and task.family != "V-CLS"}


def test_every_task_names_a_data_set_on_the_hub():
    paths = {name: HubPath.of(task) for name, task in TASKS.items()}
    assert paths["ImageNet-1K"] == HubPath("ziyjiang/MMEB_Test_Instruct", ("ImageNet-1K",), "test")
    assert paths["SmthSmthV2"] == HubPath("VLM2Vec/SmthSmthV2", (None,), "test", first_rows=1000)
    assert paths["ViDoSeek-page"] == HubPath("VLM2Vec/ViDoSeek-page-fixed", ("queries", "corpus", "qrels"), "test")
    assert paths["NExTQA"] == HubPath("VLM2Vec/NExTQA", ("MC",), "test")
    assert len(paths["MVBench"].configs) == 20
    assert all(path.repo.count("/") == 1 and path.split in ("test", "train", "val") for path in paths.values())


def test_a_question_is_right_by_its_own_answer(mini):
    right = {
        "MVBench": "(B) that",
        "NExTQA": "answer 3",
        "Video-MME": "C. 3. December.",
        "EgoSchema": "A. c does 4.",
        "ActivityNetQA": "no",
    }
    hub = mini(*right)
    for name, answer in right.items():
        assert read_task(TASKS[name], hub.folder).queries[0].relevance == {answer: 1.0}


def test_only_the_first_dot_of_an_option_ends_its_letter(mini):
    data = read_task(TASKS["Video-MME"], mini("Video-MME").folder)
    assert [each.prompt for each in data.candidates()] == ["Red", "Blue", "3. December", "None"]


def test_a_moment_seeker_query_shows_what_its_file_is(mini):
    data = read_task(TASKS["MomentSeeker"], mini("MomentSeeker").folder)
    text, image, video = data.queries
    assert text.example.visual is None
    assert image.example.prompt == (
        "<|image_pad|> Select the video clip that aligns with the given text and image: words 1"
    )
    assert video.example.prompt == (
        "<|video_pad|> Find the clip that corresponds to the given sentence and video segment: words 2"
    )
    assert len(video.example.visual.load()) == 11  # every frame that is kept, not eight of them


def test_of_a_page_that_is_judged_twice_the_higher_grade_counts(mini):
    data = read_task(TASKS["ViDoRe_esg_reports_v2_multilingual"], mini("ViDoRe_esg_reports_v2_multilingual").folder)
    assert data.queries[0].relevance == {"0": 2.0, "1": 2.0}
    assert data.queries[1].relevance == {"3": 1.0}


def test_moments_are_named_from_the_task_folder_on_every_machine(mini):
    data = read_task(TASKS["QVHighlight"], mini("QVHighlight").folder)
    assert data.queries[0].candidates == ("v7/negative_0_10", "v7/negative_30_40", "v7/positive_10_20")
    assert data.queries[0].relevance == {"v7/positive_10_20": 1.0}


def test_eight_frames_are_shown_evenly_from_first_to_last(mini):
    hub = mini("MSVD")
    hub.frames("video_ret/MSVD/clip0", n=64)
    frames = next(read_task(TASKS["MSVD"], hub.folder).candidates()).visual
    expected = [f"frame_{i + 1:04d}.jpg" for i in np.linspace(0, 63, 8, dtype=int)]
    assert [path.name for path in frames.paths] == expected


def test_a_row_whose_files_are_missing_is_left_out_and_the_others_go_on(mini):
    hub = mini("MSVD")
    for frame in (hub.root / "video-tasks/frames/video_ret/MSVD/clip1").iterdir():
        frame.unlink()
    data = read_task(TASKS["MSVD"], hub.folder)
    assert len(data.queries) == 2
    assert data.left_out == [f"row 1: no frames in {hub.root}/video-tasks/frames/video_ret/MSVD/clip1"]


def test_a_missing_candidate_leaves_out_every_query_that_is_ranked_against_it(mini):
    hub = mini("CIRR")
    (hub.root / "image-tasks/MMEB/CIRR/t2.png").unlink()
    data = read_task(TASKS["CIRR"], hub.folder)
    assert not data.queries
    assert len(data.left_out) == 2
    assert "t2.png is not there" in data.left_out[0]


def test_broken_rows_say_what_is_wrong_with_them(hub):
    for i in range(4):
        hub.frames(f"video_qa/ActivityNetQA/v_x{i}")
    rows = [
        {"video_name": "x0", "question": "is it", "answer": "maybe"},
        {"video_name": "x1", "question": None, "answer": "yes"},
        {"video_name": "../../../../etc", "question": "is it", "answer": "yes"},
        {"video_name": "x3", "question": "is it", "answer": "yes"},
    ]
    hub.rows("ActivityNetQA", rows)
    data = read_task(TASKS["ActivityNetQA"], hub.folder)
    assert len(data.queries) == 1
    assert data.left_out[:2] == [
        "row 0: the right answer ['maybe'] is not among its 2 candidates",
        "row 1: expected words, got None",
    ]
    assert "leads out of" in data.left_out[2]


def test_a_data_set_with_other_columns_names_the_one_it_lacks(hub):
    hub.frames("video_qa/ActivityNetQA/v_x0")
    hub.rows("ActivityNetQA", [{"name": "x0", "question": "is it"}])
    left_out = read_task(TASKS["ActivityNetQA"], hub.folder).left_out
    assert left_out == ["row 0: no column 'answer'; it has name, question"]


def test_rows_without_an_instruction_get_the_table_s(hub):
    hub.rows("OK-VQA", [{"qry_text": "what?", "qry_img_path": hub.image("a.png"), "tgt_text": ["x", "y"]}])
    data = read_task(TASKS["OK-VQA"], hub.folder)
    assert data.queries[0].example.prompt == (
        "<|image_pad|>\nRepresent the given image with the following question: what?\n"
    )


def test_the_rows_own_instruction_wins_and_the_difference_is_noted(hub):
    row = {"qry_inst": "<|image_1|>\nAnswer:", "qry_text": "what?", "tgt_text": ["x", "y"]}
    hub.rows("OK-VQA", [{**row, "qry_img_path": hub.image("a.png")}])
    data = read_task(TASKS["OK-VQA"], hub.folder)
    assert data.queries[0].example.prompt == "<|image_pad|>\nAnswer: what?\n"
    assert len(data.notes) == 1
    assert "the rows' own instruction was used" in data.notes[0]


def test_a_limit_takes_the_first_queries_and_keeps_every_candidate(mini):
    data = read_task(TASKS["VATEX"], mini("VATEX").folder, limit=1)
    assert [query.example.prompt[-7:] for query in data.queries] == ["words 0"]
    assert len(list(data.candidates())) == 3
    assert data.notes == ["only the first 1 rows"]


@pytest.mark.parametrize("name", ["ImageNet-1K", "MSVD", "ViDoRe_arxivqa"])
def test_a_task_without_its_files_says_how_to_get_them(tmp_path, name):
    with pytest.raises(UnreadableMedia, match=rf"is not there; run: vlm2vec-rag eval --download --tasks {name}"):
        read_task(TASKS[name], DataFolder(tmp_path, offline=True))
