"""`VLM2VecTranslator`: lets LangChain's SelfQueryRetriever, whose model writes filters, ask this package's store."""

from __future__ import annotations

from typing import Any

from langchain_core.structured_query import Comparator, Comparison, Operation, Operator, StructuredQuery, Visitor

_JOINED = {Operator.AND: "$and", Operator.OR: "$or", Operator.NOT: "$nor"}
_COMPARED = {
    Comparator.EQ: "$eq",
    Comparator.NE: "$ne",
    Comparator.GT: "$gt",
    Comparator.GTE: "$gte",
    Comparator.LT: "$lt",
    Comparator.LTE: "$lte",
    Comparator.LIKE: "$icontains",
    Comparator.IN: "$in",
    Comparator.NIN: "$nin",
}


class VLM2VecTranslator(Visitor):
    """Filters that a model wrote for LangChain's SelfQueryRetriever, as this package's stores take them.

    Setup:
        .. code-block:: bash

            pip install "vlm2vec-rag[langchain]" langchain-classic lark

    Usage:
        .. code-block:: python

            from langchain_classic.chains.query_constructor.schema import AttributeInfo
            from langchain_classic.retrievers import SelfQueryRetriever
            from langchain_vlm2vec import VLM2VecTranslator

            retriever = SelfQueryRetriever.from_llm(
                llm,
                store,
                "Pages of reports, photographs and clips of talks",
                [
                    AttributeInfo(name="kind", description="page, image, clip or text", type="string"),
                    AttributeInfo(name="file_name", description="The file", type="string"),
                    AttributeInfo(name="page", description="Counted from 1", type="integer"),
                ],
                structured_query_translator=VLM2VecTranslator(),
            )
            retriever.invoke("What do the pages after the first say of emissions?")

    SelfQueryRetriever chooses a translator by the class of the store among those it knows, so this one has to be given.
    All of LangChain's comparisons and operators are understood, on fields of files and of one's own: `like` finds
    letters of any case, `contain` an element of a list or letters, a date is compared as a date. A question that is a
    filter alone gives what passes it, in the order of files and pages.
    """

    allowed_comparators = tuple(Comparator)
    allowed_operators = tuple(Operator)

    def visit_operation(self, operation: Operation) -> dict[str, Any]:
        """Several filters as one."""
        self._validate_func(operation.operator)
        return {_JOINED[operation.operator]: [each.accept(self) for each in operation.arguments]}

    def visit_comparison(self, comparison: Comparison) -> dict[str, Any]:
        """One comparison of a field with a value."""
        self._validate_func(comparison.comparator)
        name, comparator, value = comparison.attribute, comparison.comparator, _plain(comparison.value)
        if comparator == Comparator.CONTAIN:
            parts = [{name: {"$eq": value}}]
            return {"$or": [*parts, {name: {"$contains": value}}]} if isinstance(value, str) else parts[0]
        if comparator == Comparator.LIKE and isinstance(value, str):
            value = value.strip("%*")  # models write SQL's and the shell's patterns
        if comparator in (Comparator.IN, Comparator.NIN) and not isinstance(value, list):
            value = [value]
        return {name: {_COMPARED[comparator]: value}}

    def visit_structured_query(self, structured_query: StructuredQuery) -> tuple[str, dict[str, Any]]:
        """The words to search for, and the store's arguments."""
        wanted = structured_query.filter
        return structured_query.query, {} if wanted is None else {"filter": wanted.accept(self)}


def _plain(value: Any) -> Any:
    """LangChain's parser gives a date as `{"date": "2026-01-31", "type": "date"}`, and so a date with a time."""
    if isinstance(value, dict) and value.get("type") in ("date", "datetime"):
        return value[value["type"]]
    return [_plain(each) for each in value] if isinstance(value, list | tuple) else value
