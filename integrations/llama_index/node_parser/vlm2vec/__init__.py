"""Documents to nodes: pages, pictures, clips and passages stay whole, other texts are split."""

from llama_index.node_parser.vlm2vec.base import MediaNodeParser
from llama_index.node_parser.vlm2vec.nodes import MediaDocument, MediaNode
from llama_index.node_parser.vlm2vec.pictures import Pictures

__all__ = ["MediaDocument", "MediaNode", "MediaNodeParser", "Pictures"]
