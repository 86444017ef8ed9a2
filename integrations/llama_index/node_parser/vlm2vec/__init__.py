"""Documents to nodes: pages, images, clips and passages stay whole, other texts are split."""

from llama_index_vlm2vec.images import ImageBudget
from llama_index_vlm2vec.node_parser import MediaNodeParser
from llama_index_vlm2vec.nodes import MediaDocument, MediaNode

__all__ = ["ImageBudget", "MediaDocument", "MediaNode", "MediaNodeParser"]
