"""Everything the package raises on purpose.

VlmRagError                catch this one
├── EmptyInput             nothing to encode or to search for         (also a ValueError)
├── InvalidInput           an argument or a setting makes no sense    (also a ValueError)
├── ModelNotFound          a model or adapter cannot be reached       (also an OSError)
├── AdapterMismatch        an adapter does not fit its base           (also a ValueError)
├── MediaError             a file cannot be turned into items         (also an OSError)
│   ├── UnsupportedMedia   no reader takes this kind of file
│   ├── UnreadableMedia    empty, truncated, mislabelled or broken
│   ├── EncryptedMedia     a password is needed
│   └── MediaLimit         over a limit on pages, pixels, seconds, memory or time
├── CollectionError        the store cannot do what was asked
│   ├── CollectionNotFound there is no collection at this place       (also a LookupError)
│   ├── CollectionLocked   another process has it open
│   ├── CollectionDamaged  points it had acknowledged are gone
│   └── FingerprintMismatch  it was built with another model or setting (also a ValueError)
├── ReaderClosed           a reader was closed while another thread read with it
├── DiskFull               there is no room to write what was asked
├── ChatError              a chat model failed or took too long
└── MissingExtra           an optional dependency is not installed    (also an ImportError)

Every message says what was got, what was expected and what to do next.
"""


class VlmRagError(Exception):
    """Base of every error the package raises on purpose."""


class EmptyInput(VlmRagError, ValueError):
    """Nothing to encode or to search for."""


class InvalidInput(VlmRagError, ValueError):
    """An argument or a setting makes no sense."""


class ModelNotFound(VlmRagError, OSError):
    """A model or an adapter cannot be reached."""


class AdapterMismatch(VlmRagError, ValueError):
    """An adapter does not fit the base it was loaded onto."""


class MediaError(VlmRagError, OSError):
    """A file cannot be turned into items."""


class UnsupportedMedia(MediaError):
    """No reader takes this kind of file."""


class UnreadableMedia(MediaError):
    """The file is empty, truncated, mislabelled or broken."""


class EncryptedMedia(MediaError):
    """The file needs a password."""


class MediaLimit(MediaError):
    """The file is over a limit on pages, pixels, seconds, memory or time."""


class CollectionError(VlmRagError):
    """The store cannot do what was asked."""


class CollectionNotFound(CollectionError, LookupError):
    """There is no collection at this place."""


class CollectionLocked(CollectionError):
    """Another process has the collection open."""


class CollectionDamaged(CollectionError):
    """Points that the collection had acknowledged are gone."""


class FingerprintMismatch(CollectionError, ValueError):
    """The collection was built with another model or setting."""


class ReaderClosed(VlmRagError):
    """A reader was closed while another thread read with it."""


class DiskFull(VlmRagError):
    """There is no room on the disk to write what was asked; nothing was lost."""


class ChatError(VlmRagError):
    """A chat model failed, or took too long. The conversation can go on."""


class MissingExtra(VlmRagError, ImportError):
    """An optional dependency is not installed."""
