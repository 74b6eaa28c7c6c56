"""Click commands by subject; heavy imports happen inside them."""
