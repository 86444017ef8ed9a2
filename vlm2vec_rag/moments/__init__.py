"""When something happens: windows of a video to moments, whole videos from their windows."""

from vlm2vec_rag.moments.search import Pool, search_moments, search_videos
from vlm2vec_rag.moments.spans import Span, temporal_iou

__all__ = ["Pool", "Span", "search_moments", "search_videos", "temporal_iou"]
