"""LlamaIndex's metadata filters in Qdrant's terms."""

from __future__ import annotations

from typing import TYPE_CHECKING

from llama_index.core.vector_stores import FilterCondition, FilterOperator, MetadataFilter, MetadataFilters

from vlm2vec_rag.document_filters import DocumentFilters, Operator, all_of, any_of, negation
from vlm2vec_rag.document_metadata import FRAMEWORK_FIELD

if TYPE_CHECKING:
    from qdrant_client import models

    from vlm2vec_rag.collection import Collection

_OPERATORS: dict[FilterOperator, Operator] = {
    FilterOperator.EQ: "==",
    FilterOperator.NE: "!=",
    FilterOperator.GT: ">",
    FilterOperator.GTE: ">=",
    FilterOperator.LT: "<",
    FilterOperator.LTE: "<=",
    FilterOperator.IN: "in",
    FilterOperator.NIN: "nin",
    FilterOperator.ANY: "in",  # a list holds each of its elements, so both ask for one that is among the values
    FilterOperator.ALL: "all",
    FilterOperator.CONTAINS: "==",
    FilterOperator.TEXT_MATCH: "contains text",
    FilterOperator.TEXT_MATCH_INSENSITIVE: "contains text of any case",
    FilterOperator.IS_EMPTY: "is empty",
}

_DOCUMENT = ("ref_doc_id", "doc_id", "document_id")  # as LlamaIndex's own stores call it
_OF_DOCUMENTS = (FilterOperator.EQ, FilterOperator.NE, FilterOperator.IN, FilterOperator.NIN)


def condition(filters: MetadataFilters | None, collection: Collection) -> models.Filter | None:
    """The filters as Qdrant takes them; None where everything passes.

    A name means what it means in a node's metadata, whether it stands for a field of a file (`kind`, `source`, `page`,
    `file_path`, `file_name`), for the document it was made of (`ref_doc_id`), or for one of the user's own. See
    `vlm2vec_rag.document_filters` for what operators mean.

    Raises:
        InvalidInput: A value cannot be compared in that way; the message names the field.
    """
    if filters is None or not filters.filters:
        return None
    compared = DocumentFilters(collection)
    parts = [
        condition(each, collection) if isinstance(each, MetadataFilters) else _one(each, compared)
        for each in filters.filters
    ]
    given = [part for part in parts if part is not None]
    match filters.condition:
        case FilterCondition.OR:
            return any_of(given) if len(given) == len(parts) else None
        case FilterCondition.NOT:
            return negation(any_of(given) if len(given) == len(parts) else None)
    return all_of(given)


def _one(wanted: MetadataFilter, compared: DocumentFilters) -> models.Filter:
    if wanted.key in _DOCUMENT and wanted.operator in _OF_DOCUMENTS:
        negated = wanted.operator in (FilterOperator.NE, FilterOperator.NIN)
        operator: Operator = "in" if wanted.operator in (FilterOperator.IN, FilterOperator.NIN) else "=="
        names = (f"{FRAMEWORK_FIELD}.ref_doc_id", "place")
        found = any_of(compared.compare(name, operator, wanted.value) for name in names)
        return negation(found) if negated else found
    name = "source" if wanted.key == "file_path" else wanted.key
    return compared.compare(name, _OPERATORS[wanted.operator], wanted.value)
