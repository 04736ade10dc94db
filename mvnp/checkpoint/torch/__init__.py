"""The file formats of PyTorch, read and written without it."""
