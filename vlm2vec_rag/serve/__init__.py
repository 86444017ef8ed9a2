"""One server over one or more libraries: pages for people, an API for programs, tools for agents.

`vlm2vec-rag serve` starts it; `build_app` gives the ASGI app to a server of your own. Its packages come with the extra
`[serve]`; importing this imports none of them.
"""

from vlm2vec_rag.serve.settings import ServeSettings

__all__ = ["ServeSettings"]
