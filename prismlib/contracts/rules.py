"""Rules: what a difference between a reader and a writer is called, and where it fails.

Detection, direction and policy are three things. A format's rules detect what stands between a reader and a writer, whoever
of them is new; :mod:`prismlib.contracts.compatibility` knows who reads whom; and a policy decides which rules fail:

    confluent   as Confluent's Schema Registry decides, wherever that is not plainly unsafe
    wire        old bytes stay readable and mean the same
    consumer    what one consumer reads arrives as it expects it, beyond what merely decodes
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final, Literal, TypeAlias

Policy: TypeAlias = Literal["confluent", "wire", "consumer"]

EVERYWHERE: Final[frozenset[Policy]] = frozenset({"confluent", "wire", "consumer"})
"""For what crashes a reader."""


@dataclass(frozen=True, slots=True)
class Rule:
    """One kind of difference. Each has a module of its own, whose docstring is its page in the reference.

    Attributes:
        id: stable, such as ``"AVR003"``; an id never changes its meaning, and a retired one is not used again.
        name: reads well after "allow", such as ``"reader-field-without-default"``.
        instead: one sentence for whoever made the change: what to do instead.
        fails: the policies in which it fails; in others it is a note.
        misreads: nothing fails where it is met, and every value is taken for another one, also by a decoder that knows the
            writer's schema. Of an older schema a route has to know nothing else before it reads its records.
    """

    id: str
    name: str
    instead: str
    fails: frozenset[Policy] = EVERYWHERE
    misreads: bool = False


Rules: TypeAlias = Mapping[str, Rule]
"""By id."""


@dataclass(frozen=True, slots=True)
class Difference:
    """One thing that stands between a reader and a writer. One problem is one object.

    Attributes:
        rule: id of the rule that found it.
        path: where: in the reader, or in the writer for what only the writer has; names joined by ``/``, such as
            ``/fields/lines/items/fields/sku`` (Avro), ``/Order/lines/sku`` (Protobuf), ``/properties/sku`` (JSON Schema).
        message: one sentence that names both sides.
        field: the dotted path of the field concerned, as a FieldSet has it, such as ``lines.sku``; "" for the root.
        newer: which side has to be the newer one for it to count, such as for what was deleted: it cannot be told from what
            was added otherwise. None where it does not matter.
    """

    rule: str
    path: str
    message: str
    field: str = ""
    newer: Literal["reader", "writer"] | None = None
