"""Checks of an installation, a collection and a server, each with a verdict; the command line and `/health` print them.

>>> from vlm2vec_rag import doctor
>>> for check in [*doctor.check_machine(), *doctor.check_place("my.vlm2vec")]:
...     print(check.state, check.name, check.got)
"""

from vlm2vec_rag.doctor.check import Check, State, verdict, worst
from vlm2vec_rag.doctor.collection import check_library, check_place, quick_checks
from vlm2vec_rag.doctor.encoder_server import check_encoder_server
from vlm2vec_rag.doctor.machine import check_machine

__all__ = [
    "Check",
    "State",
    "check_encoder_server",
    "check_library",
    "check_machine",
    "check_place",
    "quick_checks",
    "verdict",
    "worst",
]
