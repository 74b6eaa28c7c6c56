"""From images to embeddings: decode, normalise, run frozen or fine-tuned backbones."""
