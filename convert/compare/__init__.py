"""Edge Impulse's side of a comparison: what its SDK does before and behind a model."""
