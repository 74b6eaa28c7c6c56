"""Tables of text: read, parsed, merged, and described column by column."""

from featurestore.tables.archived import archived_files, split_archived
from featurestore.tables.dictionary import (
    TIMES,
    Column,
    DataDictionary,
    Kind,
    Level,
    Measured,
    known_later,
)
from featurestore.tables.exclusions import EXCLUSION_COLUMNS, OUTCOME_STAGE, exclusions_table
from featurestore.tables.gaps import (
    CODES,
    GAP_COLUMNS,
    LABELS,
    REASONS,
    find_gaps,
    joined_gaps,
    no_gaps,
    reason_codes,
    unassigned,
    without_record,
)
from featurestore.tables.ids import ids_by_content, require_columns, require_unique, spelled_ids
from featurestore.tables.ordering import places, spans
from featurestore.tables.parsing import (
    BINARY_TEXTS,
    GUESSED_TOKENS,
    MISSING_TOKENS,
    Parsed,
    known_text,
    parse_binary,
    parse_levels,
    parse_numbers,
    rejected_values,
)
from featurestore.tables.reading import TableHead, read_head, read_table, require_header
from featurestore.tables.spreadsheet import FORMULA_STARTS, csv_text, markdown_line
from featurestore.tables.vocabulary import VOCABULARY

__all__ = [
    "BINARY_TEXTS",
    "CODES",
    "EXCLUSION_COLUMNS",
    "FORMULA_STARTS",
    "GAP_COLUMNS",
    "GUESSED_TOKENS",
    "LABELS",
    "MISSING_TOKENS",
    "OUTCOME_STAGE",
    "REASONS",
    "TIMES",
    "VOCABULARY",
    "Column",
    "DataDictionary",
    "Kind",
    "Level",
    "Measured",
    "Parsed",
    "TableHead",
    "archived_files",
    "csv_text",
    "exclusions_table",
    "find_gaps",
    "ids_by_content",
    "joined_gaps",
    "known_later",
    "known_text",
    "markdown_line",
    "no_gaps",
    "parse_binary",
    "parse_levels",
    "parse_numbers",
    "places",
    "read_head",
    "read_table",
    "reason_codes",
    "rejected_values",
    "require_columns",
    "require_header",
    "require_unique",
    "spans",
    "spelled_ids",
    "split_archived",
    "unassigned",
    "without_record",
]
