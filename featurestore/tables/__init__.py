"""Tables of text: read, parsed, merged, and described column by column."""
