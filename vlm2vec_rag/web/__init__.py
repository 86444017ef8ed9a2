"""The web app: search, ask, and fill a collection in a browser. `serve` starts it; the extra is `[web]`.

Gradio draws the tabs. Pages, images and videos come from routes of our own, which give out only what the collection
holds, by the id of a hit, so that no address of the app names a path.
"""

from vlm2vec_rag.web.serve import serve

__all__ = ["serve"]
