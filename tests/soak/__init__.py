"""Many guests begun by one harness: what they come to, and what the harness keeps of them."""
