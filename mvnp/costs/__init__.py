"""Operations, bytes and parameters of a model, counted by running it."""
