"""The feature store: embeddings by content, and who trained what made them."""
