"""What a server may do and who may ask it, checked before anything is opened."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

from vlm2vec_rag.collection.addresses import is_loopback
from vlm2vec_rag.errors import InvalidInput
from vlm2vec_rag.serve.download import DownloadLimits

HOST, PORT = "127.0.0.1", 7860
SHORTEST_TOKEN = 16  # characters; at the throttle's pace even half of them are never guessed


@dataclass(frozen=True, slots=True, kw_only=True)
class ServeSettings:
    """How a server listens, whom it lets in, and what it takes.

    Raises:
        InvalidInput: The address can be reached from other machines and there is no token, or a value makes no sense.
    """

    host: str = HOST
    port: int = PORT
    token: str | None = field(default=None, repr=False)  # programs send it as a bearer token, people sign in with it
    allowed_hosts: tuple[str, ...] = ()  # names it is reached by, beside its addresses: what a reverse proxy is called
    max_file_bytes: int = 1_000_000_000  # of an uploaded file
    upload_budget_bytes: int = 20_000_000_000  # of all uploaded files together
    keep_free_bytes: int = 500_000_000  # of the disk, whatever is uploaded
    allowed_folders: tuple[Path, ...] = ()  # folders of this machine that clients may have indexed
    allow_write: bool = False  # whether agents may change a collection; people and programs with access always may
    downloads: DownloadLimits = DownloadLimits()  # noqa: RUF009  frozen

    def __post_init__(self) -> None:
        if self.token is not None and len(self.token) < SHORTEST_TOKEN:
            raise InvalidInput(
                f"the token has {len(self.token)} characters; expected at least {SHORTEST_TOKEN}, for example from: "
                'python -c "import secrets; print(secrets.token_urlsafe())"'
            )
        if self.token is None and not is_loopback(self.host):
            raise InvalidInput(
                f"{self.host} can be reached from other machines, and there is no token; set VLM2VEC_TOKEN, "
                "or leave --host out to serve this machine alone"
            )
        for name in ("max_file_bytes", "upload_budget_bytes"):
            if getattr(self, name) < 1:
                raise InvalidInput(f"{name} is {getattr(self, name)}; expected at least 1")
        for folder in self.allowed_folders:
            if not folder.is_dir():
                raise InvalidInput(f"--allow-folder {folder} is no folder; expected one that is there")
