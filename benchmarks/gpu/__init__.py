"""The extractor on a card, in one command: speed, agreement, training, memory."""
